"""What a step learns from, by step number."""
