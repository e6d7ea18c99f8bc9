"""Takes a model to a device: graphs, quantization, chips, the package, and the proof that they agree."""
