"""Log-mel features, whole clips and chunk by chunk."""
