"""The command line: one file per command, `console` is the only place that prints."""
