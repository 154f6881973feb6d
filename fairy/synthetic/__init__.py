"""Rendered clips and edits with exactly known results."""
