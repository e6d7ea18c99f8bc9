"""What importers share: which text becomes which label, and who is in which split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kwsctl.data.splitting import split_by_speaker
from kwsctl.errors import InputError, ManifestError
from kwsctl.types import BACKGROUND, UNKNOWN, Clip


@dataclass(frozen=True)
class Options:
    """How to take over labelled audio.

    Attributes:
        words: the keywords, as `text` or `text=label`; empty means that every text is a label.
        other: label of all other texts; empty means to leave such clips out.
        split: of all clips, or `auto` to share out the speakers.
        val_share: of the speakers, for `val` if the split is `auto`.
        test_share: of the speakers, for `test` if the split is `auto`.
    """

    words: tuple[str, ...] = ()
    other: str = UNKNOWN
    split: Literal["auto", "train", "val", "test"] = "auto"
    val_share: float = 0.1
    test_share: float = 0.1


@dataclass(frozen=True)
class Labelled:
    """A stretch of audio as another tool describes it.

    Attributes:
        path: the audio file.
        text: what is said; empty where nothing is.
        speaker: who says it; None where it is not known.
        start_s: where it begins, in s.
        duration_s: its length in s; None for the rest of the file.
    """

    path: Path
    text: str
    speaker: str | None
    start_s: float = 0.0
    duration_s: float | None = None


def to_clips(found: Iterable[Labelled], options: Options) -> list[Clip]:
    """Turns what was found into clips of the manifest.

    Args:
        found: in the order of the source.
        options: labels and splits.

    Returns:
        The clips, in the same order.

    Raises:
        InputError: `words` names one text twice.
        ManifestError: no clip is left.
    """
    labels = _label_of(options.words)
    clips = []
    for item in found:
        text = " ".join(item.text.split()).casefold()
        label = BACKGROUND if not text else labels.get(text, options.other) if labels else text
        if label:
            clips.append(Clip(item.path, label, item.speaker, "train", item.start_s, item.duration_s))
    if not clips:
        raise ManifestError("None of the texts is among `words`.", "Check the words, or set `other`.")
    if options.split == "auto":
        return split_by_speaker(clips, val_share=options.val_share, test_share=options.test_share)
    return [Clip(c.path, c.label, c.speaker, options.split, c.start_s, c.duration_s) for c in clips]


def _label_of(words: Iterable[str]) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    for word in words:
        text, _, label = word.partition("=")
        key = " ".join(text.split()).casefold()
        if key in labels:
            raise InputError(f"`words` names {text!r} twice.", "Name each text once.")
        labels[key] = label.strip() or key
    return labels
