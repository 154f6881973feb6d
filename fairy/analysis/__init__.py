"""What happens inside an edit: where attention goes, and what frames take from anchors."""
