"""The index: for every feature and each of its poles, where it fires most, and how it is distributed."""
