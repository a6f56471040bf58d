"""Tensors to tensors: streaming layers, encoders and decoders. Knows no codes and no files."""
