"""Run the migrations on the connection that `schema.upgrade` hands over, inside its transaction.

There is no alembic.ini and no way to run this by itself: a database is migrated when `serve` opens it.
"""

from alembic import context

from ctsftp.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
