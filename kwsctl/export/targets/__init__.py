"""Where a model can be taken, one target per file; the file name is the name on the command line."""
