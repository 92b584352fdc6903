"""The states of an upload, and every move between them: one table.

`received` is the first state; only the one mover in the store changes it, and asks `check_move` before. An upload
that was cut off before CLOSE is no upload yet but a partial: it is a thing of the spool, and never in here.
"""

from enum import StrEnum

from ctsftp.errors import IllegalMoveError


class State(StrEnum):
    """What became of an upload."""

    RECEIVED = "received"
    LOADING = "loading"
    LOADED = "loaded"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    HELD = "held"
    REJECTED = "rejected"
    FAILED = "failed"
    RETIRED = "retired"
    DISCARDED = "discarded"
    IGNORED = "ignored"


# From, to, and the event that moves: the diagram is printed from it in this order.
MOVES: dict[tuple[State, State], str] = {
    (State.RECEIVED, State.LOADING): "its turn has come",
    (State.RECEIVED, State.IGNORED): "its name does not look like a segment file",
    (State.RECEIVED, State.REJECTED): "its name or its first bytes break the contract",
    (State.LOADING, State.LOADED): "its list was applied",
    (State.LOADING, State.DUPLICATE): "the same name and bytes were applied or are held",
    (State.LOADING, State.SUPERSEDED): "its stamp is older than the segment's newest",
    (State.LOADING, State.HELD): "a guard asks for an admin",
    (State.LOADING, State.REJECTED): "the file breaks the contract",
    (State.LOADING, State.RETIRED): "the segment is retired",
    (State.LOADING, State.FAILED): "the fault is ours",
    (State.LOADING, State.RECEIVED): "the load was interrupted",
    (State.FAILED, State.RECEIVED): "retried, automatically or by `upload retry`",
    (State.REJECTED, State.RECEIVED): "`upload retry`",
    (State.RETIRED, State.RECEIVED): "`upload retry`, once its segment is restored",
    (State.HELD, State.RECEIVED): "`upload approve`",
    (State.HELD, State.DISCARDED): "`upload discard`",
    (State.HELD, State.SUPERSEDED): "a newer upload was loaded",
    (State.SUPERSEDED, State.RECEIVED): "`upload approve`",
}

# Where an upload rests, and has its time of finishing. An admin can still take it up from three of them.
# `failed` is none: it is tried again, and its file is kept until it ends well.
END_STATES = frozenset(
    {
        State.LOADED,
        State.DUPLICATE,
        State.SUPERSEDED,
        State.REJECTED,
        State.RETIRED,
        State.DISCARDED,
        State.IGNORED,
    }
)

# Where nothing of a file counts, and its sender is told so.
REFUSED_STATES = frozenset({State.REJECTED, State.RETIRED})


def check_move(frm: State, to: State) -> None:
    """Raise IllegalMoveError unless the table has that move."""
    if (frm, to) in MOVES:
        return
    targets = [target for source, target in MOVES if source == frm]
    allowed = f"only {' or '.join(targets)}" if targets else "nothing else"
    raise IllegalMoveError(f"An upload that is {frm} cannot become {to}: it can become {allowed}.")


def render_diagram() -> str:
    """Return the table as text: one line a move, in columns; the state that is left is named once."""
    width = max(map(len, State))
    lines: list[str] = []
    previous = None
    for (frm, to), event in MOVES.items():
        shown = "" if frm == previous else frm
        lines.append(f"{shown:<{width}} -> {to:<{width}}  {event}")
        previous = frm
    return "\n".join(lines) + "\n"
