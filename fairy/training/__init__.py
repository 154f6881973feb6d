"""The trainer of the bundled model: scenes and edits rendered on the fly, recipes, two stages."""
