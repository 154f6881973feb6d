"""What would run on this machine, and what fits into memory."""
