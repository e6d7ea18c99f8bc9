"""What all clients hold together: features or cached embeddings of every clip, computed once.

Real devices hold only their own rows; the simulation keeps all of them in one table, so that memory does not
grow with the number of clients, and a client is a list of row numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.data.windows import cut
from kwsctl.errors import InputError
from kwsctl.features.augmentation import Augmentation, augment, middle
from kwsctl.features.draws import Draws
from kwsctl.federated.trigger import add_trigger
from kwsctl.learning.rendering import Renderings
from kwsctl.progress import Progress, silent
from kwsctl.types import BACKGROUND, RESERVED_LABELS, SILENCE, UNKNOWN

CHUNK = 256


@dataclass(frozen=True, eq=False)
class Clips:
    """Windows with their labels and speakers.

    Attributes:
        power: [N, F, T'] mel power in bfloat16, with a margin on both sides.
        target: [N] label indices, -1 for none.
        speakers: [N]; None where not known.
    """

    power: Tensor
    target: Tensor
    speakers: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True, eq=False)
class Corpus:
    """What the clients train on, and who is held out.

    Attributes:
        train: the clients' clips.
        held_out: clips of other speakers.
        n_frames: T.
        known: embeddings that were computed before, by bundle, part and whether they are triggered.
    """

    train: Clips
    held_out: Clips
    n_frames: int
    known: dict[tuple[str, str, bool], Tensor] = field(default_factory=dict, repr=False)

    def to(self, device: torch.device) -> Corpus:
        """Puts the clips on a device; labels, which are few numbers, stay on the CPU."""
        train, held_out = (
            dataclasses.replace(part, power=part.power.to(device)) for part in (self.train, self.held_out)
        )
        known = {key: table.to(device) for key, table in self.known.items()}
        return Corpus(train, held_out, self.n_frames, known)

    def features(self, clips: Clips, rows: Tensor, triggered: Tensor | None = None) -> Tensor:
        """Gives [B, F, T] features of clips as they are, some of them with the trigger of a backdoor."""
        return middle(_power(clips, rows, triggered), self.n_frames)

    def varied(
        self, rows: Tensor, how: Augmentation, draw: torch.Generator | Draws, triggered: Tensor | None = None
    ) -> Tensor:
        """Gives [B, F, T] features of training clips, augmented."""
        return augment(_power(self.train, rows, triggered), None, self.n_frames, how, draw)

    def standardization(self) -> tuple[Tensor, Tensor]:
        """Gives [F] mean and spread of the features: sums that devices can add up without showing a clip."""
        total = square = torch.zeros(())
        count = 0
        for rows in torch.split(torch.arange(len(self.train)), CHUNK):
            x = self.features(self.train, rows)
            total, square = total + x.sum((0, 2)).double(), square + x.square().sum((0, 2)).double()
            count += x.shape[0] * x.shape[2]
        mean = total / count
        return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float()

    def embeddings(
        self, base: Bundle, part: Literal["train", "held_out"], *, triggered: bool = False
    ) -> Tensor:
        """Gives [N, E] embeddings of clips as they are, computed once for each bundle."""
        key = (base.sha256, part, triggered)
        if key not in self.known:
            clips = getattr(self, part)
            network = cast(Any, base.model().to(clips.power.device))
            if not len(clips):
                return torch.zeros(0, network.embedding_size)
            with torch.no_grad():
                self.known[key] = torch.cat(
                    [
                        network.embed(self.features(clips, rows, torch.full((len(rows),), triggered)))
                        for rows in torch.split(torch.arange(len(clips)), CHUNK)
                    ]
                )
        return self.known[key]


def gather(
    store: ClipStore,
    base: Bundle,
    *,
    margin_frames: int = 10,
    wanted: Collection[str] = ("train", "held_out"),
    progress: Progress = silent,
) -> Corpus:
    """Turns the clips of a store into mel power, as a bundle hears them.

    Args:
        store: clips with labels, speakers and splits.
        base: says labels, features and length of a window.
        margin_frames: kept on both sides of a window, for shifts.
        wanted: which parts; a device has nobody to hold out, and a server has no clips of clients.
        progress: counts windows.

    Returns:
        The split `train` for the clients; `val`, or else `test`, as the held-out speakers.

    Raises:
        InputError: a sample rate that is not the bundle's, or no clips to train on or to hold out.
    """
    if store.rate_hz != base.features.sample_rate_hz:
        raise InputError(
            f"The clips have {store.rate_hz} Hz, the model hears {base.features.sample_rate_hz} Hz.",
            "Prepare the data at the rate of the model.",
        )
    held_out = store.where(split="val")
    held_out = held_out if len(held_out) else store.where(split="test")
    train = store.where(split="train")
    parts = []
    for part, name, rows in (("train", "train", train), ("held_out", "val' or 'test", held_out)):
        if part in wanted and not len(rows):
            raise InputError(f"No clip is in the split '{name}'.", "Give the manifest a split column.")
        nobody = Clips(
            torch.zeros(0, base.features.mel_bins, base.n_frames), torch.zeros(0, dtype=torch.long), ()
        )
        parts.append(_clips(store, base, rows, margin_frames, progress) if part in wanted else nobody)
    return Corpus(parts[0], parts[1], base.n_frames)


def _power(clips: Clips, rows: Tensor, triggered: Tensor | None) -> Tensor:
    power = clips.power[rows.to(clips.power.device)].float()
    if triggered is None or not bool(triggered.any()):
        return power
    return torch.where(triggered.to(power.device)[:, None, None], add_trigger(power), power)


def _clips(store: ClipStore, base: Bundle, rows: Any, margin: int, progress: Progress) -> Clips:
    keywords = frozenset(base.labels) - set(RESERVED_LABELS)
    windows = cut(store, rows, _targets(store, base), keywords, base.clip_s)
    if base.task == "keywords":
        windows = windows.take((windows.target >= 0).nonzero()[0])
    made = Renderings(store, windows, base.features, margin_frames=margin)
    made.update(0, progress)
    # The mapping outlives the name of its file.
    power = made.power.transpose(1, 2)
    made.close()
    speakers = [store.clips[i].speaker for i in windows.clip]
    return Clips(power, torch.from_numpy(windows.target), speakers)


def _targets(store: ClipStore, base: Bundle) -> dict[str, int]:
    found = {label: base.labels.index(label) for label in base.labels}
    for label in {clip.label for clip in store.clips} - set(base.labels):
        stands_for = SILENCE if label in (BACKGROUND, SILENCE) else UNKNOWN
        if stands_for in base.labels:
            found[label] = base.labels.index(stands_for)
    return found
