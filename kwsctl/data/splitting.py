"""Gives speakers (or files) to splits where the publisher of a corpus has not.

The order is by hash, so that it neither follows the alphabet nor changes from run to run, and the
shares are filled by count, so that even three speakers give one to each split. The price: adding a
speaker can move one other speaker across a border. Figures from before and after adding data are
therefore not comparable; keep the manifest if they have to be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from kwsctl.errors import InputError
from kwsctl.types import Clip


def assign_splits(names: Iterable[str], *, val_share: float = 0.1, test_share: float = 0.1) -> dict[str, str]:
    """Puts each name in one split.

    Args:
        names: speakers, or files where speakers are not known; repeats do not count.
        val_share: of the names, for `val`.
        test_share: of the names, for `test`.

    Returns:
        The split of each name. Held-out splits are rounded up: with three names or more each split
        with a share gets one, with two `val` goes without, a single name is for training.

    Raises:
        InputError: the shares are negative or leave nothing to train with.
    """
    if min(val_share, test_share) < 0 or val_share + test_share >= 1:
        raise InputError(
            f"A share of {val_share:g} for val and {test_share:g} for test leaves nothing to train with.",
            "Use shares from 0 to less than 1 in all, such as 0.1 and 0.1.",
        )
    ordered = sorted(
        set(names), key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    )
    spare = max(0, len(ordered) - 1)  # somebody must be left to train with
    n_test = min(_rounded_up(len(ordered) * test_share), spare)
    n_val = min(_rounded_up(len(ordered) * val_share), spare - n_test)
    splits = ["test"] * n_test + ["val"] * n_val + ["train"] * (len(ordered) - n_test - n_val)
    return dict(zip(ordered, splits, strict=True))


def split_by_speaker(clips: Iterable[Clip], *, val_share: float = 0.1, test_share: float = 0.1) -> list[Clip]:
    """Gives every clip the split of its speaker; clips without a speaker are split by file.

    Args:
        clips: whose splits are replaced.
        val_share: of the speakers, and of the files without one, for `val`.
        test_share: likewise for `test`.

    Returns:
        The clips in the same order, with their new splits.
    """
    kept = list(clips)
    shares = {"val_share": val_share, "test_share": test_share}
    of_speaker = assign_splits({clip.speaker for clip in kept if clip.speaker is not None}, **shares)
    of_file = assign_splits({clip.path.name for clip in kept if clip.speaker is None}, **shares)
    return [
        replace(clip, split=of_file[clip.path.name] if clip.speaker is None else of_speaker[clip.speaker])
        for clip in kept
    ]


def _rounded_up(count: float) -> int:
    return -int(-count // 1)
