"""Manifests, downloads, prepared clip stores and batches."""
