"""The demo's own small language model: tokenizer, training recipe, measure, sampled corpus."""
