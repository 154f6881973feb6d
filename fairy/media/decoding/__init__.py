"""From a file's packets to pictures."""
