"""Variants are found by file name, without importing them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kwsctl import registry
from kwsctl.errors import ExtensionError


def test_names_are_the_files_of_the_folder() -> None:
    assert registry.names("kwsctl.models") == (
        "bcresnet",
        "dscnn",
        "duet",
        "revbcresnet",
        "revtcnet",
        "tcresnet",
    )


def test_listing_imports_nothing() -> None:
    code = (
        "import sys; from kwsctl import registry; registry.names('kwsctl.models'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_wrong_name_suggests_the_nearest() -> None:
    with pytest.raises(
        ExtensionError, match=r"No models named 'bcresnt'. Did you mean 'bcresnet'\? Known: bcresnet"
    ):
        registry.load("kwsctl.models", "bcresnt")
