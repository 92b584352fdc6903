"""The two charts: a segment's size over time, and a trend as small as a word.

leather draws the first: it is kept, depends on nothing, writes SVG on the server in 2 ms, without styles, scripts or
fonts to fetch; the console's sheet gives it its colours. (pygal's SVG has all three, and it hooks itself into every
import of the process.) The trend is a path of our own: leather takes 2.6 ms for one, and a page may have 500 of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.etree import ElementTree as ET

import leather  # type: ignore[import-untyped]
from markupsafe import Markup

SPARK_WIDTH, SPARK_HEIGHT = 96, 24
BROAD, NARROW = ("broad", 960, 240), ("narrow", 360, 220)
LABEL_WIDTH = 160  # a date below the chart, and room around it
# Beside and above the drawing: half a date, half a number.
ROOM_LEFT, ROOM_RIGHT, ROOM_ABOVE, ROOM_BELOW = 6, 40, 10, 4

leather.theme.margin = 0.0  # the page has its own

END = 1000


def spark(sizes: Sequence[int]) -> Markup:
    """Draw a trend from old to new, from the bottom (least) to the top (most); "" for fewer than two sizes."""
    if len(sizes) < 2:  # noqa: PLR2004
        return Markup()
    least, most = min(sizes), max(sizes)
    across, upwards = SPARK_WIDTH / (len(sizes) - 1), (SPARK_HEIGHT - 4) / ((most - least) or 1)
    level = 2 if most > least else SPARK_HEIGHT / 2
    heights = (SPARK_HEIGHT - level - (size - least) * upwards for size in sizes)
    line = "M" + "L".join(f"{at * across:.1f},{height:.1f}" for at, height in enumerate(heights))
    return Markup(  # noqa: S704  numbers; Markup's own `format` takes ten times as long
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="under" d="{line}L{SPARK_WIDTH},{SPARK_HEIGHT}L0,{SPARK_HEIGHT}Z"/><path d="{line}"/></svg>'
    )


@dataclass(frozen=True, slots=True)
class Course:
    """The loads of a segment: when the first was, how long before the last, and (place, members) of each.

    Places are 0 (the first) to `END` (the last), not moments: leather's scale of time fails where it is shorter than
    its units, and goes on where nothing is.
    """

    begin: datetime
    length: timedelta
    points: list[tuple[float, int]]

    def day(self, place: float) -> str:
        """Write the date of a place."""
        return f"{self.begin + self.length * place / END:%Y-%m-%d}"


def size_over_time(sizes: Sequence[tuple[str, int]]) -> Markup:
    """Draw (ISO time, members) pairs, old to new, twice: broad, and for a phone; the style sheet shows one of them.

    "" where nothing changed over time yet.
    """
    moments = [datetime.fromisoformat(at) for at, _ in sizes]
    if not moments or moments[0] == moments[-1]:
        return Markup()
    begin, length = moments[0], moments[-1] - moments[0]
    points = [(END * (at - begin) / length, members) for at, (_, members) in zip(moments, sizes, strict=True)]
    course = Course(begin, length, points)
    drawn = Markup().join(_draw(course, *form) for form in (BROAD, NARROW))
    label = f"Members over time: {sizes[0][1]:,} on {course.day(0)}, {sizes[-1][1]:,} on {course.day(END)}"
    return Markup('<div class="chart" role="img" aria-label="{}">{}</div>').format(label, drawn)


def _draw(course: Course, kind: str, width: int, height: int) -> Markup:
    chart = leather.Chart()
    least, most = (choose(members for _, members in course.points) for choose in (min, max))
    if least == most:  # a scale needs a length
        chart.add_y_scale(max(least - 1, 0), most + 1)
    labels = max(2, min(width // LABEL_WIDTH, course.length.days + 1))
    places = [END * at / (labels - 1) for at in range(labels)]
    chart.add_x_scale(0, END)
    chart.add_x_axis(ticks=places, tick_formatter=lambda place, *_: course.day(place))
    chart.add_y_axis(tick_formatter=lambda members, *_: f"{members:,.0f}")
    chart.add_line(course.points)
    box = f"{-ROOM_LEFT} {-ROOM_ABOVE} {width + ROOM_LEFT + ROOM_RIGHT} {height + ROOM_ABOVE + ROOM_BELOW}"
    picture = ET.Element("svg", {"class": kind, "viewBox": box})
    picture.append(chart.to_svg_group(width, height))
    return Markup(ET.tostring(picture, encoding="unicode"))  # noqa: S704  numbers and dates, escaped by ElementTree
