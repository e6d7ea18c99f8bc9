"""Colours of all pictures: told apart in print and by colour-blind readers."""

GROUND = "#fbfbf9"
INK = "#24292f"
GREY = "#8c959f"
FAINT = "#d9dde2"
BLUE = "#2166ac"
ORANGE = "#d6604d"
RIGHT = ("#f3d9cf", "#dce7f1", "#b6d0e6")
"""From nothing right to all right, pale."""
WRONG = ("#fddcc0", "#eb7f5e", "#8f1d2c")
"""From few errors to many."""
