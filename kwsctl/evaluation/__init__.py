"""From a bundle and clips to scores, and from scores to figures."""
