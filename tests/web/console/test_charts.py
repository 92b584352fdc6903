"""The charts: whatever the sizes, they are drawn, within their frame, and hold nothing but shapes and numbers."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctsftp.model.timeline import Step, StepKind
from ctsftp.model.writing import iso
from ctsftp.web.console.charts import LABEL_WIDTH, SPARK_HEIGHT, SPARK_WIDTH, size_over_time, spark

BEGIN = datetime(2026, 3, 10, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIZES = st.lists(st.integers(0, 2**40), min_size=2, max_size=30)


@given(SIZES)
def test_a_trend_goes_from_edge_to_edge_within_its_frame_in_steps(sizes: list[int]) -> None:
    [line] = ET.fromstring(spark(sizes)).iter("path")  # noqa: S314  our own
    shape = line.attrib["d"]
    assert re.fullmatch(r"M0,[0-9.]+H[0-9.]+(V[0-9.]+H[0-9.]+)*", shape)
    heights = [float(height) for height in re.findall(r"(?:M0,|V)([0-9.]+)", shape)]
    assert len(heights) == len(sizes)
    assert float(shape.rpartition("H")[2]) == SPARK_WIDTH
    assert all(0 <= height <= SPARK_HEIGHT for height in heights)
    drawn = sorted(zip(sizes, heights, strict=True))
    assert all(lower >= higher for (_, lower), (_, higher) in pairwise(drawn))  # SVG counts from the top
    if max(sizes) > min(sizes):
        assert (drawn[0][1], drawn[-1][1]) == (SPARK_HEIGHT - 2, 2)


def step(at: datetime, members: int, kind: StepKind = StepKind.LOADED) -> Step:
    return Step(at=iso(at), kind=kind, upload_id="1", number=1, members=members)


def test_one_size_is_no_trend() -> None:
    assert spark([5]) == ""
    assert size_over_time([], BEGIN) == ""
    assert size_over_time([step(BEGIN, 5)], BEGIN + HOUR) == ""


def test_a_chart_goes_in_steps_until_now() -> None:
    steps = [step(BEGIN, 300), step(BEGIN + HOUR, 20), step(BEGIN + 2 * HOUR, 300, StepKind.ROLLED_BACK)]
    corners = corners_of(size_over_time(steps, BEGIN + 4 * HOUR))
    (x0, high), (x1, still), (x2, low), (x3, still_low), (x4, back), (x5, end) = corners
    assert (x0, x1, x3) == (0, x2, x4)
    assert (x3, x5) == pytest.approx((2 * x1, 4 * x1))
    assert high == still == back == end < low == still_low  # SVG counts from the top


def corners_of(chart: str) -> list[tuple[float, float]]:
    """Give the corners of the chart's line."""
    [line] = [one.attrib["d"] for one in ET.fromstring(chart).iter("path")]  # noqa: S314
    numbers = list(map(float, re.findall(r"[0-9.]+", line)))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 2**36), st.integers(-(2**30), 2**36))
def test_a_chart_is_drawn_whatever_the_sizes_and_times(sizes: list[int], step_ms: int, since_ms: int) -> None:
    moments = [BEGIN + at * timedelta(milliseconds=step_ms) / len(sizes) for at in range(len(sizes))]
    now = moments[-1] + timedelta(milliseconds=since_ms)
    drawn = size_over_time([step(at, members) for at, members in zip(moments, sizes, strict=True)], now)
    tree = ET.fromstring(drawn)  # noqa: S314
    assert {one.tag for one in tree.iter()} <= {"div", "svg", "g", "rect", "line", "text", "path"}
    assert not any("style" in one.attrib for one in tree.iter())
    assert f"{sizes[-1]:,} on " in tree.attrib["aria-label"]
    labels = labels_of(drawn)
    assert 1 <= len(labels) <= 960 // LABEL_WIDTH
    assert len(set(moments_of(labels))) == len(labels)


def moments_of(labels: list[str]) -> list[str]:
    """Read labels as a person does: a time of day belongs to the day that was written last."""
    found, day = [], ""
    for label in labels:
        day = label[:10] if "-" in label else day
        found.append(label if "-" in label else f"{day} {label}")
    return found


def labels_of(chart: str) -> list[str]:
    """Give the moments that are written below the chart."""
    axes = [axis for axis in ET.fromstring(chart).iter("g") if "bottom" in axis.get("class", "")]  # noqa: S314
    texts = [text for axis in axes for text in axis.iter("text")]
    return [str(text.text) for text in sorted(texts, key=lambda text: float(text.attrib["x"]))]


@pytest.mark.parametrize("members", [1, 300, 10**7])
@pytest.mark.parametrize("length", [timedelta(seconds=3), timedelta(minutes=50), timedelta(days=6)])
def test_no_moment_below_a_chart_is_cut_at_its_edges(members: int, length: timedelta) -> None:
    drawn = ET.fromstring(size_over_time([step(BEGIN, members), step(BEGIN + length / 2, 2)], BEGIN + length))  # noqa: S314
    [picture] = drawn.iter("svg")
    left, _, width, _ = map(float, picture.attrib["viewBox"].split())
    [plot] = [one for one in drawn.iter("g") if any("bottom" in child.get("class", "") for child in one)]
    beside = float(re.findall(r"[0-9.]+", plot.attrib["transform"])[0])
    for text in (text for axis in plot if "bottom" in axis.get("class", "") for text in axis.iter("text")):
        half = len(text.text or "") * 7 / 2  # of 13 pixels a letter takes 7 at most
        assert left <= beside + float(text.attrib["x"]) - half
        assert beside + float(text.attrib["x"]) + half <= left + width


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (timedelta(seconds=12), ["2026-03-10 09:00:00", "09:00:05", "09:00:10"]),
        (timedelta(minutes=50), ["2026-03-10 09:00", "09:15", "09:30", "09:45"]),
        (timedelta(hours=20), ["2026-03-10 09:00", "12:00", "15:00", "18:00", "21:00", "2026-03-11 00:00", "03:00"]),
        (timedelta(days=6), [f"2026-03-{day}" for day in range(11, 17)]),
        (timedelta(days=200), ["2026-04-09", "2026-06-04", "2026-07-30", "2026-09-24"]),
    ],
)
def test_moments_below_a_chart_are_round_and_a_days_date_stands_once(length: timedelta, labels: list[str]) -> None:
    drawn = size_over_time([step(BEGIN, 1), step(BEGIN + length / 2, 2)], BEGIN + length)
    assert labels_of(drawn) == labels
