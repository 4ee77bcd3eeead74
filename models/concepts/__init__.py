"""Built-in contrasts (gender, sentiment, tense …) as minimal pairs of our own, and what reads them."""
