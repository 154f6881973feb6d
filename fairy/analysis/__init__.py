"""What an edit does inside: where attention looks, what frames take from anchors."""
