"""Profiles on a bundle of a few numbers, and a scrypt that takes no time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kwsctl.personal import encryption
from kwsctl.personal.encryption import Key


@pytest.fixture(autouse=True, scope="module")
def fast_scrypt() -> Iterator[None]:
    patched = pytest.MonkeyPatch()
    patched.setattr(encryption, "SCRYPT_N", 4)
    yield
    patched.undo()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def key() -> Key:
    return Key.from_passphrase("correct horse battery staple")
