"""The science: sparse autoencoders, language models, training, indexing, steering.

Needs torch. Knows nothing of web, database or terminal: `tests/test_layers.py` holds that.
"""
