"""The worker: the only place where `models` and `store` meet, and the only process with torch."""
