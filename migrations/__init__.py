"""Alembic's folder: every schema the database has had, in order, and how to get from each to the next.

Run by `dipole migrate` and at every start; `server.store.migrate` passes the connection in.
"""

HEAD = "0006"
"""The newest revision, so that a database that has it need not load Alembic."""
