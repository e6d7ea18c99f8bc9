"""What an encoder for new words is trained for: one file each, found by its name."""
