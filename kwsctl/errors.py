"""Everything that kwsctl raises on purpose, each with what was wrong and what to do.

KwsctlError              exit code 1
├── InputError           exit code 2: a value, option or audio file that cannot be used
├── ManifestError        exit code 2: a manifest with bad rows, or speakers in two splits
├── SourceError          a download or archive that failed, or whose sha256 differs
├── BundleError          a model file that is corrupt, newer than this version, or of another base
├── ProfileError         a person's profile that is encrypted, damaged, or of another base
├── ExtensionError       exit code 2: an unknown architecture, recipe, ... or a missing extra
├── ParityError          exit code 3: two forms of one model disagree
└── DeviceError          a microphone, accelerator or runtime that is not there
"""

from __future__ import annotations


class KwsctlError(Exception):
    """An expected failure: shown as one line, without a traceback.

    Args:
        message: what was wrong, with the value.
        hint: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(KwsctlError):
    """A value, option or audio file that cannot be used."""

    exit_code = 2


class ManifestError(KwsctlError):
    """A manifest with bad rows, or with one speaker in two splits."""

    exit_code = 2


class SourceError(KwsctlError):
    """A download or archive that failed, or whose sha256 differs."""


class BundleError(KwsctlError):
    """A model file that is corrupt, newer than this version, or of another base."""


class ProfileError(KwsctlError):
    """A person's profile that is encrypted, damaged, changed meanwhile, or of another base."""


class ExtensionError(KwsctlError):
    """An unknown architecture, recipe or target, or a missing optional package."""

    exit_code = 2


class ParityError(KwsctlError):
    """Two forms of one model disagree by more than the stated tolerance."""

    exit_code = 3


class DeviceError(KwsctlError):
    """A microphone, accelerator or runtime that is not there."""
