"""How good an edit is, as numbers."""
