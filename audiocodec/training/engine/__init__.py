"""What a training step is made of: what it draws, what it minimises, how it moves and with whom."""
