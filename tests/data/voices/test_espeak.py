from __future__ import annotations

from pathlib import Path

import pytest

from kwsctl.data import speaking
from kwsctl.data.voices import espeak
from kwsctl.data.voices._utterance import Speaker, Utterance

espeakng_loader = pytest.importorskip("espeakng_loader", reason="the extra 'espeak' is not installed")

PAIRS = [speaker.voice.split("+") for speaker in espeak.speakers()]


def test_every_variant_exists() -> None:
    """The library would silently speak with the plain voice instead."""
    variants = {path.name for path in (Path(espeakng_loader.get_data_path()) / "voices" / "!v").iterdir()}
    assert {variant for _, variant in PAIRS} <= variants


def test_every_accent_is_heard_and_takes_variants(tmp_path: Path) -> None:
    accents = sorted({accent for accent, _ in PAIRS})
    voices = [f"{accent}+{variant}" for accent in accents for variant in ("m1", "none such")]
    said = speaking.speak(
        [Utterance(Speaker("espeak", voice), "Open the door.") for voice in voices], tmp_path, workers=1
    )
    assert len({one.path.read_bytes() for one in said}) == len(voices) == 16


def test_accents_and_variants_are_mixed() -> None:
    assert len(set(map(tuple, PAIRS))) == len(PAIRS) == 44
    assert len({variant for _, variant in PAIRS}) == 24
