"""One fault of several: what a group of tasks raised, as the error that a person is told."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from ctsftp.errors import CtsftpError

log = structlog.get_logger()


@contextmanager
def one_fault() -> Iterator[None]:
    """Raise one error of a TaskGroup's group as itself, so that the command line can name it.

    Of several it is the first that was meant for a person, else the first; the others are logged.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        faults = list(_leaves(group))
        fault = next((one for one in faults if isinstance(one, CtsftpError)), faults[0])
        for other in faults:
            if other is not fault:
                log.exception("another task failed", exc_info=other)
        raise fault from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one
