"""What is measured of an SAE, always on text that it was not trained on."""
