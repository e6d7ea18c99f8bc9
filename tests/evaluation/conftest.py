"""Property tests here have no deadline: how fast a shared machine is says nothing about the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None, max_examples=60)
settings.load_profile("no-deadline")
