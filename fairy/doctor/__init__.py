"""Check what runs on this machine and what fits into its memory."""
