"""Ways to make a model personal from a few clips: one file each, all give a `Delta`."""
