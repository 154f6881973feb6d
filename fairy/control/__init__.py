"""Which part of a clip an edit may change, and by how much: masks, regions, times, key frames."""
