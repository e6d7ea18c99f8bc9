"""Federations on Flower: the same functions in a ServerApp and a ClientApp."""
