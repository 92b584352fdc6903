"""Of a duplicate: the upload that came before with the same name and bytes, as it is now, and the words for it.

A duplicate is judged once, and what became of the other changes after that: it is approved, or rolled back. So nothing
of this is kept; it is looked up when somebody reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ctsftp.contract.states import State
from ctsftp.model.timeline import Period, is_current, say_when_current


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """The other upload, why it is held, if it is, and when readers had its list."""

    id: str
    state: State
    code: str | None = None
    reason: str | None = None
    periods: Sequence[Period] = ()

    @property
    def is_current(self) -> bool:
        """Whether its list is what readers have."""
        return is_current(self.periods)


_FATES = {
    State.DISCARDED: "was held, and the server's admin discarded it",
    State.SUPERSEDED: "was held, and a newer one was loaded",
}


def say_twin(twin: Twin | None) -> str:
    """Say what became of the same file when it came before; None: that is not known any more."""
    match twin:
        case None:
            return "The same file came before."
        case Twin(state=State.HELD):
            return f"The same file came before. It is held, and {say_waits(twin.id)}"
        case Twin(state=State.LOADED):
            return f"The same file was applied before. {say_when_current(twin.periods)}"
        case _:
            return f"The same file came before. It {_FATES.get(twin.state, f'is {twin.state} now')}."


def say_waits(upload_id: str) -> str:
    """Say for whom a held upload waits, and what that person does."""
    return f"waits for the server's admin to approve it (ctsftp upload approve {upload_id}) or to discard it."
