"""Training data: from manifests, folders and shards to random segments."""
