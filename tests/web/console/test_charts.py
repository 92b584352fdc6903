"""The charts: whatever the sizes, they are drawn, within their frame, and hold nothing but shapes and numbers."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from ctsftp.store.records import iso
from ctsftp.web.console.charts import SPARK_HEIGHT, SPARK_WIDTH, size_over_time, spark

BEGIN = datetime(2026, 3, 10, 9, tzinfo=UTC)
SIZES = st.lists(st.integers(0, 2**40), min_size=2, max_size=30)


@given(SIZES)
def test_a_trend_goes_from_edge_to_edge_within_its_frame(sizes: list[int]) -> None:
    _, line = ET.fromstring(spark(sizes)).iter("path")  # noqa: S314  our own
    points = [tuple(map(float, point.split(","))) for point in re.split("[ML]", line.attrib["d"])[1:]]
    assert len(points) == len(sizes)
    assert (points[0][0], points[-1][0]) == (0, SPARK_WIDTH)
    assert all(0 <= height <= SPARK_HEIGHT for _, height in points)
    drawn = sorted(zip(sizes, (height for _, height in points), strict=True))
    assert all(lower >= higher for (_, lower), (_, higher) in pairwise(drawn))  # SVG counts from the top
    if max(sizes) > min(sizes):
        assert (drawn[0][1], drawn[-1][1]) == (SPARK_HEIGHT - 2, 2)


def test_one_size_is_no_trend() -> None:
    assert spark([5]) == ""
    assert size_over_time([]) == ""
    assert size_over_time([(iso(BEGIN), 5)]) == ""


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 2**36))
def test_a_chart_is_drawn_whatever_the_sizes_and_times(sizes: list[int], step_ms: int) -> None:
    moments = [iso(BEGIN + at * timedelta(milliseconds=step_ms) / len(sizes)) for at in range(len(sizes))]
    drawn = size_over_time(list(zip(moments, sizes, strict=True)))
    if drawn:
        tree = ET.fromstring(drawn)  # noqa: S314
        assert {one.tag for one in tree.iter()} <= {"div", "svg", "g", "rect", "line", "text", "path"}
        assert not any("style" in one.attrib for one in tree.iter())
        assert tree.attrib["aria-label"].endswith(f"{sizes[-1]:,} on {moments[-1][:10]}")
