"""Rendered clips and edits whose right answers are known exactly."""
