"""Measures of an edit: one function each, on frames from any editor.

Frames are float (T,3,H,W) in [0,1] everywhere, flow (T-1,2,H,W) in px as (x, y). Each docstring has
the formula, source, range, direction and known failures; docs/metrics.md has them in one table.
"""
