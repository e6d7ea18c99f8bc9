"""kwsctl: the whole life of a personal wake word, from training to the device."""

__version__ = "0.1.0"
