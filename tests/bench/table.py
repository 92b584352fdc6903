"""A row of the table: what was measured, against what, and whether it is enough."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `value` is what is judged: at least `bar`, or at most, where less is better; without, nothing is."""

    work: str
    against: str
    ours: str
    theirs: str
    value: float = 0.0
    bar: float | None = None
    unit: str = " x"
    at_most: bool = False

    def markdown(self) -> str:
        cells = (self.work, self.against, self.ours, self.theirs, *self._judged())
        return f"| {' | '.join(cells)} |"

    def _judged(self) -> tuple[str, str, str]:
        """Give the last three cells: the value, its bar, and whether that was met."""
        if self.bar is None:
            return "", "", ""
        limit = f"{'at most' if self.at_most else 'at least'} {self.bar:g}{self.unit}"
        met = self.value <= self.bar if self.at_most else self.value >= self.bar
        verdict = "met" if met else f"missed by {abs(self.value / self.bar - 1):.0%}"
        return f"{self.value:.3g}{self.unit}", limit, verdict


HEADER = "| work | against | ctsftp | the other | measured | bar | |\n|---|---|---|---|---|---|---|"


def as_markdown(rows: Iterable[Row]) -> str:
    return "\n".join([HEADER, *(row.markdown() for row in rows)])


def seconds(measured: Sequence[float]) -> str:
    """Show the median of some durations."""
    value = median(measured)
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def percentile(measured: Sequence[float], percent: int) -> float:
    """Give the smallest measurement that so many percent do not exceed."""
    ordered = sorted(measured)
    return ordered[-(-len(ordered) * percent // 100) - 1]
