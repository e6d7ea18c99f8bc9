"""Keeps a voice, and answers whether clips are of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kwsctl import bundle
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.features.augmentation import middle
from kwsctl.learning import enrolment_clips
from kwsctl.personal import voice as voices
from kwsctl.personal.encryption import Key
from kwsctl.verification import model as models
from kwsctl.verification import statistics, voiceprint

TPR = 0.9


@dataclass(frozen=True, eq=False)
class Ears:
    """What hears voices.

    Attributes:
        model: the verification model.
        named: how to name it.
        encoder: whose trunk it sits on.
    """

    model: Bundle
    named: str
    encoder: Bundle

    def outputs(self, power: Tensor) -> Tensor:
        """Gives [N, c] outputs of mel power [N, F, T'] of windows."""
        features = middle(power, self.encoder.n_frames)
        return voiceprint.outputs(self.model, statistics.of_features(self.encoder, features))


@dataclass(frozen=True)
class EnrolledVoice:
    """What `kwsctl verify --enroll` kept.

    Attributes:
        user: whose voice.
        profile: the file.
        clips_used: from how many clips.
        clips_rejected: why others could not be used, by path.
        threshold: the score above which a clip is the person's.
        tpr: the share of own clips that it was set for.
        strangers: share of stored strangers that it lets in.
        n_strangers: how many are stored.
    """

    user: str
    profile: Path
    clips_used: int
    clips_rejected: dict[str, str]
    threshold: float
    tpr: float
    strangers: float | None
    n_strangers: int


@dataclass(frozen=True)
class Answer:
    """What `kwsctl verify` says.

    Attributes:
        user: who it should be.
        accepted: whether it is.
        score: mean over the clips, at most 1.
        threshold: above which it is.
        scores: of each clip that could be used.
        clips_rejected: why others could not, by path.
        model: which verification model.
    """

    user: str
    accepted: bool
    score: float
    threshold: float
    scores: tuple[float, ...]
    clips_rejected: Mapping[str, str]
    model: str


def ears(model: Path, encoder: Path) -> Ears:
    """Loads a verification model with its encoder.

    Args:
        model: file of the verification model.
        encoder: file of the encoder.

    Returns:
        Both.

    Raises:
        BundleError: a file is missing or corrupt, or they do not belong together.
    """
    heard, trunk = bundle.load(model), bundle.load(encoder)
    models.check(heard, trunk)
    return Ears(heard, model.name, trunk)


def enroll_voice(
    home: Path,
    user: str,
    clips: Sequence[Path],
    listening: Ears,
    *,
    tpr: float = TPR,
    key: Key | None = None,
    replace: bool = False,
) -> EnrolledVoice:
    """Keeps the voice of a person.

    Args:
        home: the home folder.
        user: the name.
        clips: three or more recordings.
        listening: model and encoder.
        tpr: the share of own clips to let in.
        key: seals what is kept, unless None.
        replace: write over what is kept under this name.

    Returns:
        What was kept.

    Raises:
        InputError: too few clips can be used, or the name is taken.
    """
    power, rejected = _heard(clips, listening)
    number, secret = voices.fresh_secret(listening.model)
    found = voiceprint.enrolled(listening.model, listening.outputs(power), number, secret, tpr)
    path = voices.save(
        home, voices.kept(user, listening.model, listening.named, found, secret), key, replace=replace
    )
    return EnrolledVoice(
        user, path, found.clips, rejected, found.threshold, tpr, found.strangers, found.n_strangers
    )


def verify(
    home: Path, user: str, clips: Sequence[Path], listening: Ears, *, key: Key | None = None
) -> Answer:
    """Answers whether clips are of a person.

    Args:
        home: the home folder.
        user: the name.
        clips: one recording or more, taken together.
        listening: model and encoder.
        key: opens what is kept if it is sealed.

    Returns:
        The answer.

    Raises:
        InputError: no such user, or no clip can be used.
        ProfileError: no voice is kept, or it cannot be used.
    """
    kept = voices.load(home, user, listening.model, key)
    power, rejected = _heard(clips, listening)
    found = voiceprint.scores(listening.model, kept.print, kept.secret, listening.outputs(power))
    score = float(found.mean())
    return Answer(
        user=kept.user,
        accepted=score > kept.print.threshold,
        score=score,
        threshold=kept.print.threshold,
        scores=tuple(found.tolist()),
        clips_rejected=rejected,
        model=listening.named,
    )


def fits(listening: Ears, base: Bundle) -> bool:
    """Tells whether windows of a bundle are those that the verification model hears."""
    trunk = listening.encoder
    return (base.features, base.n_frames) == (trunk.features, trunk.n_frames)


def vote_of(
    home: Path, user: str, listening: Ears, base: Bundle, key: Key | None = None
) -> Callable[[Tensor], float] | None:
    """Gives what judges windows of a stream for adaptation.

    Args:
        home: the home folder.
        user: the name.
        listening: model and encoder.
        base: the bundle whose windows are judged.
        key: opens what is kept if it is sealed.

    Returns:
        By how much mel power [F, T'] of a window is above the threshold; None where the windows differ.

    Raises:
        ProfileError: the voice cannot be used.
    """
    if not fits(listening, base):
        return None
    kept = voices.load(home, user, listening.model, key)

    def vote(power: Tensor) -> float:
        z = listening.outputs(power[None].float())
        found = voiceprint.scores(listening.model, kept.print, kept.secret, z)
        return float(found[0] - kept.print.threshold)

    return vote


def keep_with_keyword(
    home: Path, user: str, power: Tensor, listening: Ears, base: Bundle, key: Key | None = None
) -> bool:
    """Keeps the voice of who enrols a keyword for nobody else, unless one is kept.

    Args:
        home: the home folder.
        user: the name.
        power: [K, F, T'] mel power of the enrolled clips.
        listening: model and encoder.
        base: the bundle whose windows they are.
        key: seals what is kept, unless None.

    Returns:
        Whether it was kept.
    """
    if voices.exists(home, user) or len(power) < voiceprint.FEWEST or not fits(listening, base):
        return False
    number, secret = voices.fresh_secret(listening.model)
    found = voiceprint.enrolled(listening.model, listening.outputs(power), number, secret, TPR)
    voices.save(home, voices.kept(user, listening.model, listening.named, found, secret), key)
    return True


def _heard(clips: Sequence[Path], listening: Ears) -> tuple[Tensor, dict[str, str]]:
    """Gives mel power [N, F, T'] of the clips that can be used, and why others cannot."""
    if not clips:
        raise InputError("No clips are given.", "Give recordings of the voice.")
    takes, rejected = enrolment_clips.read(clips, listening.encoder)
    reasons = {str(one.path): one.reason for one in rejected}
    if not takes:
        path, reason = next(iter(reasons.items()))
        raise InputError(f"No clip can be used; {path}: {reason}.", "Record it again, closer.")
    return torch.stack([take.power for take in takes]), reasons
