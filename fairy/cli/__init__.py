"""The command `fairy`; typer and rich occur here only."""
