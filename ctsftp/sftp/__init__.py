"""The SSH listener, the session, and the file system that a client sees.

It knows nothing of segments: what becomes of a file is asked of two callables that `app` hands in,
`inspect` (do its first bytes show that it will be rejected?) and `landed` (an upload is on disk).
"""
