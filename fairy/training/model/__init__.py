"""The parts of the trained model, their initial weights, and the export."""
