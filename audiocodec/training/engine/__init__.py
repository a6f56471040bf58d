"""What a training step is made of: what it draws, what it minimizes, how it moves and with whom."""
