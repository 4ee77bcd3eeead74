"""What steering does to a model: next-token shift, safe band, closed loop, contributions to a logit."""
