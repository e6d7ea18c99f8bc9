"""What must hold of every engine that can speak here; the others are skipped with the reason."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Iterator

import numpy as np
import platformdirs
import pytest
import soundfile

from kwsctl import registry
from kwsctl.data import speaking
from kwsctl.data.speaking import Spoken
from kwsctl.data.voices._utterance import Utterance, from_mapping

USUAL_HOME = platformdirs.user_data_path("kwsctl", appauthor=False)
VOICES = "kwsctl.data.voices"
QUICK = ("espeak", "hibari", "nanotts")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in registry.names(VOICES) if name not in QUICK]
TEXT = "Open sesame."


@pytest.fixture(scope="module", params=[*QUICK, *SLOW])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    name = str(request.param)
    if name == "kokoro" and not (USUAL_HOME / "voices").is_dir():
        pytest.skip(f"the Kokoro voices have not been fetched into {USUAL_HOME}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KWSCTL_HOME", str(USUAL_HOME))
        reason = speaking.missing([name])[name]
        if reason:
            pytest.skip(reason)
        yield name


@pytest.fixture(scope="module")
def spoken(engine: str, tmp_path_factory: pytest.TempPathFactory) -> list[Spoken]:
    """Plain, another voice, slower, another take; and the plain one alone in a new folder."""
    first, second = speaking.speakers(engine)[:2]
    plain = Utterance(first, TEXT)
    manners = [
        plain,
        Utterance(second, TEXT),
        dataclasses.replace(plain, speed=0.6),
        dataclasses.replace(plain, take=3, pitch=1.3),
    ]
    said = speaking.speak(manners[::-1], tmp_path_factory.mktemp("manners"), workers=1)[::-1]
    return said + speaking.speak([plain], tmp_path_factory.mktemp("alone"), workers=1)


def test_nothing_is_rejected(spoken: list[Spoken]) -> None:
    assert not [one.rejected for one in spoken if one.rejected]


def test_the_same_utterance_gives_the_same_bytes_whatever_came_before(spoken: list[Spoken]) -> None:
    assert spoken[0].path != spoken[-1].path
    assert spoken[0].path.read_bytes() == spoken[-1].path.read_bytes()


def test_manners_are_heard(spoken: list[Spoken]) -> None:
    plain, voice, slow, take, _ = (soundfile.read(one.path, dtype="float32")[0] for one in spoken)
    assert len(slow) > 1.25 * len(plain)
    for other in (voice, take):
        n = min(len(other), len(plain))
        assert np.abs(other[:n] - plain[:n]).max() > 0.05
    for wave in (plain, voice, slow, take):
        assert np.abs(wave).max() == pytest.approx(10 ** (-6 / 20), abs=1e-3)


def test_speakers_have_different_names_that_are_file_names(engine: str) -> None:
    speakers = speaking.speakers(engine)
    assert len({speaker.id for speaker in speakers}) == len(speakers) >= 20
    assert all(speaker.id.startswith(f"{engine}-") for speaker in speakers)
    assert all(set(speaker.id) <= set(string.ascii_letters + string.digits + "-+_") for speaker in speakers)


def test_engines_say_what_they_are(engine: str) -> None:
    module = speaking.engine(engine)
    assert module.LICENCE
    assert module.REMEDY.startswith("pip install")
    assert module.CPU_S_PER_CLIP > 0


def test_utterances_survive_json(engine: str) -> None:
    said = Utterance(speaking.speakers(engine)[1], TEXT, speed=1.1, pitch=0.9, level_db=-3.0, take=2)
    assert from_mapping(dataclasses.asdict(said)) == said
