"""Programs that run in the environments of heavy extras; they import nothing of kwsctl."""
