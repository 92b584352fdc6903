"""How numbers are written for people."""

from ctsftp.contract.counting import some


def test_a_number_is_written_with_its_noun() -> None:
    found = [some(count, "member") for count in (0, 1, 2, 1_000)]
    assert found == ["0 members", "1 member", "2 members", "1,000 members"]
    assert [some(count, "address") for count in (1, 2)] == ["1 address", "2 addresses"]
    assert some(3, "kept file") == "3 kept files"
