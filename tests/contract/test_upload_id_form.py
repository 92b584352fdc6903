"""Upload ids: UUIDv7 that sort as they were made."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsftp.contract.ids import RANDOM_BITS, TICK_BITS, is_upload_id, next_tick, unix_ms_of, upload_id

TICKS = st.integers(0, 2**TICK_BITS - 1)
RANDOM = st.integers(0, 2**RANDOM_BITS - 1)
NOW_NS = 1_645_557_742_000_000_000


def test_the_example_of_rfc_9562_comes_out() -> None:
    # RFC 9562, appendix A.6: rand_a is 0xCC3, rand_b 0b01, 0x8C4DC0C0C07398F.
    tick = 0x017F22E279B0 << 12 | 0xCC3
    made = upload_id(tick, 0b01 << 60 | 0x8C4DC0C0C07398F)
    assert made == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    assert unix_ms_of(made) == NOW_NS // 1_000_000


def test_a_tick_holds_the_time_to_a_quarter_of_a_microsecond() -> None:
    assert next_tick(0, NOW_NS + 500_000) - next_tick(0, NOW_NS) == 2048
    assert next_tick(0, NOW_NS + 999_999) - next_tick(0, NOW_NS) == 4095
    assert next_tick(0, NOW_NS) == NOW_NS // 1_000_000 * 4096


def test_ticks_go_on_where_the_clock_stands_still_or_goes_back() -> None:
    tick = next_tick(0, NOW_NS)
    assert next_tick(tick, NOW_NS) == tick + 1
    assert next_tick(tick, NOW_NS - 10**12) == tick + 1


@given(TICKS, RANDOM)
def test_every_id_is_a_uuid_of_version_7_that_holds_its_tick(tick: int, random_bits: int) -> None:
    made = upload_id(tick, random_bits)
    parsed = uuid.UUID(made)
    assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, made)
    assert is_upload_id(made)
    assert made.replace("-", "")[:12] + made[15:18] == f"{tick:015x}"
    assert unix_ms_of(made) == tick >> 12


@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=20), RANDOM, RANDOM)
def test_ids_sort_in_the_order_in_which_they_were_made(times_ns: list[int], first: int, second: int) -> None:
    tick, made = 0, []
    for count, now_ns in enumerate(times_ns):
        tick = next_tick(tick, now_ns)
        made.append(upload_id(tick, second if count % 2 else first))
    assert made == sorted(set(made))


@pytest.mark.parametrize(("tick", "random_bits"), [(2**60, 0), (-1, 0), (0, 2**62), (0, -1)])
def test_values_out_of_range_are_no_id(tick: int, random_bits: int) -> None:
    with pytest.raises(ValueError, match="60 bits and 62 random bits"):
        upload_id(tick, random_bits)


@pytest.mark.parametrize(
    "text",
    [
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
        "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-18c4-dc0c0c07398f",
        "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n",
        "../017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "",
    ],
)
def test_no_other_spelling_is_an_upload_id(text: str) -> None:
    assert not is_upload_id(text)
