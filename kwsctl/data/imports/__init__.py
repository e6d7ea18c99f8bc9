"""Readers of other tools' data formats, one file each."""
