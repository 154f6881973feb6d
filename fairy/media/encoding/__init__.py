"""From pictures to a file's packets."""
