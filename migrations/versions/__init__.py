"""One file per schema; their docstrings say what changed and why."""
