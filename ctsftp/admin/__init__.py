"""What admins may ask of a server, and how: commands and their handlers, the control socket, the doctor.

It stands on `app`: a command is handled by the running server, or by an engine that is opened for it.
"""
