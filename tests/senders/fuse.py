"""sshfs needs FUSE, which many containers do not have: a test says so, and never passes without it."""

import os
from pathlib import Path

import pytest

FUSE = Path("/dev/fuse")


def require_fuse() -> None:
    """Skip where there is no FUSE; where nothing may be skipped, only if CTSFTP_TESTS_NO_FUSE owns up to it."""
    if FUSE.exists() and os.access(FUSE, os.R_OK | os.W_OK):
        return
    reason = f"sshfs is not tested here: {FUSE} is missing"
    if os.environ.get("CTSFTP_TESTS_NO_SKIP") and not os.environ.get("CTSFTP_TESTS_NO_FUSE"):
        pytest.fail(f"{reason} (CTSFTP_TESTS_NO_FUSE=1 allows that)")
    pytest.skip(reason)
