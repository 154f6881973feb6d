"""Training data by step number."""
