"""Data sources, one per file; the file name is the name on the command line."""
