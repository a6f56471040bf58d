"""Corpora in tar files, as WebDataset lays them out, read from start to end; any step can be gone back to."""
