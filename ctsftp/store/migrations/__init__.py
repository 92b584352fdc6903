"""The migrations: package data of Alembic, run by `schema.upgrade`; a new one is `versions/NNNN_what.py`."""
