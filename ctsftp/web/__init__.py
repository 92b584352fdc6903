"""The HTTP API: what the program's software asks, and what an admin's scripts do.

It reads from the store; whatever changes the server's work is a callable that it is handed, the same that the
command line uses.
"""
