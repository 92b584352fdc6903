"""Who may send: client folders, their keys, their settings, and the host keys of the server.

The server asks `Clients.get` and `decide` at each login, so that a change counts at the next one; the command
line changes the same folders through `Clients`. Whatever is broken grants nothing and is a `Problem`.
"""
