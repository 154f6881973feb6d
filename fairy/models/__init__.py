"""Models by name: `registry.py` loads them, `mini/` is the bundled one."""
