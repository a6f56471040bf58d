"""What the commands share: options, output, planning of files, running many of them, scores."""
