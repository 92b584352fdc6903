"""The two charts: a segment's size over time, and a trend as small as a word.

Both are steps: between two lists nothing changed, and a list that was rolled back was there until then.

leather draws the first: it is kept, depends on nothing, writes SVG on the server in 2 ms, without styles, scripts or
fonts to fetch; the console's sheet gives it its colours. (pygal's SVG has all three, and it hooks itself into every
import of the process.) The trend is a path of our own: leather takes 2.6 ms for one, and a page may have 500 of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

import leather  # type: ignore[import-untyped]
from markupsafe import Markup

from ctsftp.model.timeline import Step

SPARK_WIDTH, SPARK_HEIGHT = 96, 24
WIDTH, HEIGHT = 960, 240  # a phone scrolls it
LABEL_WIDTH = 120  # a moment below the chart, and room around it
# Beside and above the drawing: half a moment, half a number.
ROOM_LEFT, ROOM_RIGHT, ROOM_ABOVE, ROOM_BELOW = 60, 60, 10, 4
# How far labels may be apart, in seconds: round on a clock, then whole days.
DAY_S = 86_400
MINUTE_S = 60
SPACES_S = (
    *(1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200),
    *(days * DAY_S for days in (1, 2, 4, 7, 14, 28, 56, 112, 224, 448, 896, 1_792, 3_584)),
)

leather.theme.margin = 0.0  # the page has its own

END = 1000


def spark(sizes: Sequence[int]) -> Markup:
    """Draw a trend from old to new, from the bottom (least) to the top (most); "" for fewer than two sizes."""
    if len(sizes) < 2:  # noqa: PLR2004
        return Markup()
    least, most = min(sizes), max(sizes)
    across, upwards = SPARK_WIDTH / len(sizes), (SPARK_HEIGHT - 4) / ((most - least) or 1)
    level = 2 if most > least else SPARK_HEIGHT / 2
    heights = (SPARK_HEIGHT - level - (size - least) * upwards for size in sizes)
    line = "V".join(f"{height:.1f}H{across * at:.1f}" for at, height in enumerate(heights, 1))
    return Markup(  # noqa: S704  numbers; Markup's own `format` takes ten times as long
        f'<svg class="spark" viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="M0,{line}"/></svg>'
    )


@dataclass(frozen=True, slots=True)
class Course:
    """The sizes of a segment: from when until when, and the (place, members) of the line's corners.

    Places are 0 (the first step) to `END` (now), not moments: leather's scale of time fails where it is shorter than
    its units, and goes on where nothing is.
    """

    begin: datetime
    end: datetime
    points: list[tuple[float, int]]

    def place(self, at: datetime) -> float:
        """Tell where a moment is."""
        return END * ((at - self.begin) / (self.end - self.begin))

    def labels(self, most: int) -> dict[float, str]:
        """Write at most so many moments, each at its place; a day's date stands at the first of them."""
        space_s = self._space_s(most)
        time = "" if space_s >= DAY_S else " %H:%M" if space_s >= MINUTE_S else " %H:%M:%S"
        written: dict[float, str] = {}
        day = None
        for at in list(self._marks(space_s)) or [self.begin]:
            date = "" if at.date() == day else f"{at:%Y-%m-%d}"
            written[self.place(at)] = (date + f"{at:{time}}").strip() if time else date
            day = at.date()
        return written

    def _marks(self, space_s: int) -> Iterator[datetime]:
        at_s = -(-self.begin.timestamp() // space_s) * space_s
        while at_s <= self.end.timestamp():
            yield datetime.fromtimestamp(at_s, UTC)
            at_s += space_s

    def _space_s(self, most: int) -> int:
        length_s = (self.end - self.begin).total_seconds()
        return next((space_s for space_s in SPACES_S if length_s / space_s <= most - 1), SPACES_S[-1])


def size_over_time(steps: Sequence[Step], now: datetime) -> Markup:
    """Draw what readers had, old to new and until now; "" where nothing changed over time yet."""
    if len(steps) < 2:  # noqa: PLR2004
        return Markup()
    moments = [datetime.fromisoformat(step.at) for step in steps]
    end = max(now, *moments, moments[0] + timedelta(milliseconds=1))
    course = Course(moments[0], end, [])
    places = [0.0]
    for at in (*moments[1:], end):  # a clock that went back draws no line that does
        places.append(max(places[-1], course.place(at)))
    for step, (since, until) in zip(steps, pairwise(places), strict=True):
        course.points.extend(((since, step.members), (until, step.members)))
    first, last = steps[0].members, steps[-1].members
    label = f"Members over time: {first:,} on {moments[0]:%Y-%m-%d}, {last:,} on {end:%Y-%m-%d}"
    return Markup('<div class="chart" role="img" tabindex="0" aria-label="{}">{}</div>').format(label, _draw(course))


def _draw(course: Course) -> Markup:
    chart = leather.Chart()
    least, most = (choose(members for _, members in course.points) for choose in (min, max))
    if least == most:  # a scale needs a length
        chart.add_y_scale(max(least - 1, 0), most + 1)
    labels = course.labels(WIDTH // LABEL_WIDTH)
    chart.add_x_scale(0, END)
    chart.add_x_axis(ticks=list(labels), tick_formatter=lambda place, *_: labels[place])
    chart.add_y_axis(tick_formatter=lambda members, *_: f"{members:,.0f}")
    chart.add_line(course.points)
    box = f"{-ROOM_LEFT} {-ROOM_ABOVE} {WIDTH + ROOM_LEFT + ROOM_RIGHT} {HEIGHT + ROOM_ABOVE + ROOM_BELOW}"
    picture = ET.Element("svg", {"viewBox": box})
    picture.append(chart.to_svg_group(WIDTH, HEIGHT))
    return Markup(ET.tostring(picture, encoding="unicode"))  # noqa: S704  numbers and dates, escaped by ElementTree
