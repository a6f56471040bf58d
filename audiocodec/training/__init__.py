"""Recipes to models: data, losses and the training loop."""
