"""A hospital and old machines to try the box on."""
