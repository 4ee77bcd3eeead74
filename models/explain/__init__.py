"""What to ask a language model about a signed feature, how to read and how to score its answers."""
