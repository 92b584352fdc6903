"""The command line: one file a noun. It reads arguments, calls `app`, and prints; it decides nothing.

Exit codes: 0 done; 1 the answer is no, or the thing is not there; 2 wrong usage.
"""

from ctsftp.cli.main import main

__all__ = ["main"]
