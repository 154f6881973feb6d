"""Opt-in ways to more speed, and exact ones; the plain loop does without them."""
