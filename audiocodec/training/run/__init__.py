"""What a run leaves in its folder: checkpoints, log and report."""
