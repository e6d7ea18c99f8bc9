"""Imports torchaudio where its compiled extension cannot be loaded; import torchaudio from here only.

torchaudio 2.11 links its extension against the CUDA runtime, so on a CPU-only torch the import
raises OSError. Nothing in kwsctl uses the extension: it is replaced by an empty one and the import
is tried again. Where the extension loads, this module changes nothing.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, NoReturn

from kwsctl.errors import ExtensionError


def _without_extension() -> ModuleType:
    """Makes the module that stands in for `torchaudio._extension`."""
    stand_in = ModuleType("torchaudio._extension")
    attributes: dict[str, Any] = {
        "_IS_TORCHAUDIO_EXT_AVAILABLE": False,
        "_IS_ALIGN_AVAILABLE": False,
        "_check_cuda_version": lambda: None,
        "_load_lib": lambda name: False,
        "fail_if_no_align": lambda function: _unavailable,
    }
    for name, value in attributes.items():
        setattr(stand_in, name, value)
    return stand_in


def _unavailable(*_: object, **__: object) -> NoReturn:
    """Takes the place of torchaudio functions that need the extension."""
    raise ExtensionError(
        "This torchaudio function needs torchaudio's compiled extension, which cannot be loaded here.",
        "Install torch with CUDA from pytorch.org.",
    )


def _load() -> ModuleType:
    """Imports torchaudio, a second time without its extension if that is what fails.

    Returns:
        The torchaudio module.

    Raises:
        ExtensionError: torchaudio cannot be imported for another reason.
    """
    try:
        return importlib.import_module("torchaudio")
    except OSError:
        # Submodules that did load would otherwise not become attributes of the new torchaudio.
        for name in [n for n in sys.modules if n == "torchaudio" or n.startswith("torchaudio.")]:
            del sys.modules[name]
    sys.modules["torchaudio._extension"] = _without_extension()
    try:
        return importlib.import_module("torchaudio")
    except OSError as error:
        raise ExtensionError(
            f"torchaudio cannot be imported: {error}.", "Install the versions that pyproject.toml names."
        ) from error


torchaudio = _load()
