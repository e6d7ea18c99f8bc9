"""Speech synthesis engines of the synthetic recipe, one file each."""
