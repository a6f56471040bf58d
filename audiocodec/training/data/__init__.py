"""From manifests and folders to random segments; one reader a file."""
