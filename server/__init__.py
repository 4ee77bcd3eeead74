"""Dipole's processes: command line, store, worker (the only place with torch) and web."""
