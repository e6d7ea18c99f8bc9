"""Ways to adapt with forward passes only, so that a device that only infers can do it: one file each."""
