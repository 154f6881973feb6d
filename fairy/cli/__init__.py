"""The command `fairy`; only this package uses typer and rich."""
