"""One training loop for richness, text and vision, and the files it can resume from."""
