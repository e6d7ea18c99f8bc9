"""A person's model: the base with all changes, and for keywords that only they may say, their voice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from kwsctl.bundle import Bundle
from kwsctl.learning.voice_fusion import VOICE_OFFSET, VOICE_WEIGHT
from kwsctl.personal import profile as profiles
from kwsctl.personal.encryption import Key
from kwsctl.personal.person import Profile
from kwsctl.streaming.listener import Voice


class WithVoice(nn.Module):
    """A network that adds the likeness of the voice to the logits of some keywords.

    Args:
        network: gives word and speaker embeddings, see `models/duet.py`.
        voice: [S] direction of the person's voice.
        rows: outputs that only this person may raise.
    """

    def __init__(self, network: nn.Module, voice: Tensor, rows: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.rows = network, list(rows)
        self.register_buffer("voice", voice)

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        word, voice = cast(Any, self.network).both(x)
        logits: Tensor = cast(nn.Linear, self.network.head)(word)
        likeness = VOICE_WEIGHT * (voice @ cast(Tensor, self.voice) - VOICE_OFFSET)
        added = torch.zeros_like(logits)
        added[:, self.rows] = likeness[:, None]
        return logits + added


@dataclass(frozen=True)
class PersonalBundle(Bundle):
    """A bundle whose network may listen to the voice, too.

    Attributes:
        voice: [S] direction of the person's voice; None if no keyword asks for it.
        only: keywords that only this person may say.
    """

    voice: Tensor | None = field(default=None, repr=False)
    only: tuple[str, ...] = ()

    def model(self) -> nn.Module:
        """Builds the person's network, in evaluation mode."""
        network = super().model()
        if self.voice is None or not self.only:
            return network
        return WithVoice(network, self.voice, tuple(self.labels.index(k) for k in self.only)).eval()


def personal_bundle(profile: Profile, base: Bundle) -> PersonalBundle:
    """Makes the bundle that hears as a person's profile says.

    Args:
        profile: of the person.
        base: the bundle it was made on.

    Returns:
        The base with all changes and the person's thresholds.

    Raises:
        ProfileError: it was made on another bundle.
    """
    changed = profiles.apply(profile, base)
    thresholds: Mapping[str, float] = {
        **changed.thresholds,
        **{name: keyword.threshold for name, keyword in profile.keywords.items()},
    }
    values = {f.name: getattr(changed, f.name) for f in fields(Bundle)} | {"thresholds": thresholds}
    only = tuple(name for name, keyword in profile.keywords.items() if keyword.policy == "only")
    return PersonalBundle(**values, voice=profile.voice, only=only)


def model_of(
    home: Path, user: str, key: Key | None, base_of: Callable[[str], Bundle]
) -> tuple[PersonalBundle, str]:
    """Loads a person's model.

    Args:
        home: the home folder.
        user: the name.
        key: opens the profile if it is encrypted.
        base_of: loads the base by the name that the profile has for it.

    Returns:
        The bundle, and where it comes from in words.

    Raises:
        InputError: there is no such user.
        ProfileError: nothing is enrolled, encrypted without a key, damaged, or on another base.
    """
    profile = profiles.load(home, user, key)
    return personal_bundle(profile, base_of(profile.base)), f"{user}'s, on {profile.base}"


def voice_check(bundle: Bundle) -> Voice | None:
    """Tells whose voice a listener has to ask for; None if anybody's will do."""
    if not isinstance(bundle, PersonalBundle) or bundle.voice is None or not bundle.only:
        return None
    return Voice(bundle.voice.numpy(), bundle.only, VOICE_WEIGHT, VOICE_OFFSET)
