"""The files on disk: staging (being written), partials (cut off), uploads (complete), home (what a client sees).

Every fsync of an upload's way is in this room. All of it is synchronous: callers on the event loop
run it in a thread, except reads and writes of an open file, which end in the page cache.
"""
