"""From an upload on disk to a verdict in the ledger, and, if it is to load, to a published snapshot.

The hook's queue, the loader, and the sweeper that finds whatever the hook missed.
"""
