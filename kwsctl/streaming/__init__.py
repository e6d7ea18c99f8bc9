"""Hearing audio without end: features, network and events, piece by piece, in bounded memory."""
