"""Encode frames and write them to video files."""
