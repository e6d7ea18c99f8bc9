"""Ways to choose the range that a tensor is quantized to: one file each."""
