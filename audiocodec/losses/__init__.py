"""Differentiable losses between decoded and original audio, for training and for refreshing codebooks."""
