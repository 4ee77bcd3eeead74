"""Everything Dipole remembers, in SQLite or Postgres: one file per noun, plain functions.

Knows no torch and no web: it takes a session and plain values, and returns frozen dataclasses.
"""
