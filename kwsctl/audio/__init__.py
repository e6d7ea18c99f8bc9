"""Reading, writing and mixing audio."""
