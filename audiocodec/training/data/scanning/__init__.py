"""Looking at every recording of a corpus before it is trained on: what `audiocodec prepare` does."""
