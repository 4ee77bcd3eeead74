"""The pages and the JSON that people and scripts see. Knows the store and the protocol; no torch."""
