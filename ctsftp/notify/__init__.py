"""Delivers what the outbox holds: signed webhooks to programs, messages to people.

At least once, in order for each segment, with back-off, and in the end to the list of the dead. It reads the
store and never stands in the way of a load: what it cannot deliver waits.
"""
