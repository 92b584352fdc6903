"""What every crash test stands on: a box, a journal, and a server that may die."""

import pytest

from tests.e2e.conftest import box, host_keys

from .oracle import Journal

__all__ = ["box", "host_keys"]


@pytest.fixture
def journal() -> Journal:
    return Journal()
