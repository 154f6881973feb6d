"""Files in, files out: one clip and one instruction to one edited clip."""
