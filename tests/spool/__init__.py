"""The spool: what is on disk, whatever breaks."""
