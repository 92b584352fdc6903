"""The records of the system, pure: an upload, a segment, a receipt, ... and the one writer of their JSON."""
