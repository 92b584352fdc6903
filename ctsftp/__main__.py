"""`python -m ctsftp` is the command `ctsftp`."""

from ctsftp.cli import main

main()
