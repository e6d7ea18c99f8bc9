"""A kept voice: who is who, what is sealed, and clear answers where something is missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from kwsctl import architecture
from kwsctl.bundle import Bundle
from kwsctl.errors import BundleError, InputError, ProfileError
from kwsctl.personal import encryption, folder, profile, voice
from kwsctl.personal.encryption import Key
from kwsctl.types import FeatureSpec
from kwsctl.verification import model as models
from kwsctl.verification import voiceprint
from kwsctl.verification.head import VoiceHead
from kwsctl.verification.options import VerificationOptions

KEY = Key.from_passphrase("correct horse battery staple")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "SCRYPT_N", 4)


def encoder(width: float = 0.4) -> Bundle:
    network = architecture.build("duet", {"width": width}, 0, 40)
    return Bundle("duet", {"width": width}, FeatureSpec(), (), "wake", 1.0, network.state_dict())


def model(seed: int = 0, users: tuple[str, ...] = ()) -> Bundle:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = VoiceHead(12, 16, 16, 127)
        trunk = encoder()
    return models.as_bundle(trunk, head, VerificationOptions(hidden=16, embedding=16), users)


def clips(person: int, count: int, seed: int = 0) -> torch.Tensor:
    """Statistics of a person's clips."""
    draw = np.random.default_rng([seed, person])
    centre = 2 * np.random.default_rng(person).normal(size=12)
    return torch.from_numpy(centre + 0.2 * draw.normal(size=(count, 12))).float()


def kept(home: Path, user: str, person: int, key: Key | None = None, **more: bool) -> voice.Voice:
    heard = model()
    number, secret = voice.fresh_secret(heard)
    found = voiceprint.enrolled(heard, voiceprint.outputs(heard, clips(person, 6)), number, secret, 0.9)
    made = voice.kept(user, heard, "test model", found, secret)
    voice.save(home, made, key, **more)
    return made


def accepted(home: Path, user: str, person: int, key: Key | None = None) -> float:
    heard = model()
    there = voice.load(home, user, heard, key)
    z = voiceprint.outputs(heard, clips(person, 20, seed=1))
    return float((voiceprint.scores(heard, there.print, there.secret, z) > there.print.threshold).mean())


def test_the_person_is_accepted_and_others_are_not(tmp_path: Path) -> None:
    kept(tmp_path, "ana", 1)
    kept(tmp_path, "ben", 2)
    assert accepted(tmp_path, "ana", 1) > 0.7
    assert accepted(tmp_path, "ben", 2) > 0.7
    assert accepted(tmp_path, "ana", 2) == accepted(tmp_path, "ben", 1) == 0


def test_two_users_of_one_name_are_told_and_the_first_stays(tmp_path: Path) -> None:
    kept(tmp_path, "ana", 1)
    with pytest.raises(InputError, match="already kept under the name 'ana'") as told:
        kept(tmp_path, "ana", 2)
    assert "--replace" in told.value.hint
    assert accepted(tmp_path, "ana", 1) > 0.7
    kept(tmp_path, "ana", 2, replace=True)
    assert accepted(tmp_path, "ana", 2) > 0.7


def test_a_lost_secret_is_told(tmp_path: Path) -> None:
    kept(tmp_path, "ana", 1)
    (folder.of(tmp_path, "ana") / voice.SECRET).unlink()
    with pytest.raises(ProfileError, match="The secret of 'ana' is lost") as told:
        voice.load(tmp_path, "ana", model())
    assert "--enroll --replace" in told.value.hint


def test_another_secret_accepts_nobody(tmp_path: Path) -> None:
    made, heard = kept(tmp_path, "ana", 1), model()
    z = voiceprint.outputs(heard, clips(1, 20, seed=1))
    other = voice.fresh_secret(heard)[1]
    assert (voiceprint.scores(heard, made.print, other, z) <= made.print.threshold).all()


def test_a_template_of_another_model_is_told(tmp_path: Path) -> None:
    kept(tmp_path, "ana", 1)
    with pytest.raises(ProfileError, match="was made with test model"):
        voice.load(tmp_path, "ana", model(seed=1))


def test_nothing_kept_and_nobody_known_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no user 'ana'"):
        voice.load(tmp_path, "ana", model())
    folder.of(tmp_path, "ana").mkdir(parents=True)
    with pytest.raises(ProfileError, match="No voice is kept of 'ana'"):
        voice.load(tmp_path, "ana", model())


def test_a_sealed_voice_shows_nothing_and_opens_with_its_key_only(tmp_path: Path) -> None:
    made = kept(tmp_path, "ana", 1, KEY)
    secret = "".join(map(str, made.secret.tolist())).encode()
    for path in folder.files(folder.of(tmp_path, "ana")):
        assert encryption.is_sealed(path.read_bytes())
        assert secret not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    assert accepted(tmp_path, "ana", 1, KEY) > 0.7
    with pytest.raises(ProfileError, match="is encrypted"):
        voice.load(tmp_path, "ana", model())
    with pytest.raises(ProfileError, match="does not open"):
        voice.load(tmp_path, "ana", model(), Key.from_passphrase("wrong"))


def test_what_is_kept_holds_no_code_and_the_offset_does_not_tell_the_voice(tmp_path: Path) -> None:
    made = kept(tmp_path, "ana", 1)
    profile_text = (folder.of(tmp_path, "ana") / voice.PROFILE).read_text()
    assert "".join(map(str, made.secret.tolist())) not in profile_text
    z = voiceprint.outputs(model(), clips(1, 20, seed=1)).mean(0)
    likeness = torch.nn.functional.cosine_similarity(z, made.print.offset, dim=0)
    assert abs(float(likeness)) < 0.4


def test_a_damaged_file_is_told_and_forgetting_removes_all(tmp_path: Path) -> None:
    kept(tmp_path, "ana", 1)
    path = folder.of(tmp_path, "ana") / voice.PROFILE
    path.write_text("{")
    with pytest.raises(ProfileError, match="damaged"):
        voice.load(tmp_path, "ana", model())
    profile.forget(tmp_path, "ana")
    assert not folder.of(tmp_path, "ana").exists()


def test_whoever_took_part_is_compared_with_the_code_itself() -> None:
    heard = model()
    _, secret = voice.fresh_secret(heard)
    z = voiceprint.outputs(heard, clips(1, 8))
    found = voiceprint.participant(heard, z, 3, secret, 0.9)
    assert torch.equal(found.offset, torch.ones(127))
    assert (voiceprint.scores(heard, found, secret, z) > found.threshold).mean() >= 0.9


def test_what_cannot_be_is_refused() -> None:
    heard = model()
    z = voiceprint.outputs(heard, clips(1, 2))
    with pytest.raises(InputError, match="2 clips are too few"):
        voiceprint.enrolled(heard, z, 0, voice.fresh_secret(heard)[1], 0.9)
    with pytest.raises(InputError, match="nobody can be added"):
        voiceprint.outputs(model(users=("a", "b")), clips(1, 2))
    with pytest.raises(BundleError, match="tells words, not who speaks"):
        models.head_of(encoder())
    with pytest.raises(BundleError, match="sits on encoder"):
        models.check(heard, dataclasses.replace(encoder(), clip_s=1.5))
