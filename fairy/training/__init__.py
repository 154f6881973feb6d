"""The trainer: recipes, training data, and the stages that make or finetune a model."""
