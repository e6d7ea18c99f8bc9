"""What every adapter is given: a base, a keyword, a person's clips, and what must not be taken for it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.bundle import Bundle, Delta
from kwsctl.features.augmentation import Augmentation, augment, middle
from kwsctl.learning.precision import FULL, Quantization
from kwsctl.options import to_mapping
from kwsctl.seeding import torch_generator

MILD = Augmentation(
    shift_frames=8, speed=0.08, warp=0.03, gain_db=6.0, noise_share=0.0, time_masks=0, mel_masks=0
)
BATCH = 256
UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Enrolment:
    """One keyword of one person.

    Attributes:
        base: the bundle that becomes personal.
        keyword: a label of it, or a new word.
        power: [K, F, T'] mel power of the person's clips, with a margin on both sides.
        negatives: [N, F, T] features that are not the keyword.
        seed: of everything random.
        precision: of what is tuned by gradients, see `kwsctl.learning.precision`.
        memory_budget: bytes that activations, gradients and the optimizer may take; None for no limit.
        quantization: how numbers are put on grids, where there is a precision.
    """

    base: Bundle
    keyword: str
    power: Tensor
    negatives: Tensor
    seed: int = 0
    precision: str = FULL
    memory_budget: int | None = None
    quantization: Quantization = field(default_factory=Quantization)

    @property
    def is_new(self) -> bool:
        """Whether the base does not know the keyword."""
        return self.keyword not in self.base.labels

    @property
    def row(self) -> int:
        """Where the keyword stands among the outputs, as the last one if it is new."""
        labels = self.base.labels
        return len(labels) if self.is_new else labels.index(self.keyword)

    @property
    def network(self) -> nn.Module:
        """The base's network, not to be changed."""
        return self.base.network

    @property
    def head(self) -> nn.Linear:
        """The base's head."""
        return cast(nn.Linear, self.network.head)

    @functools.cached_property
    def positives(self) -> Tensor:
        """The person's clips as they are, [K, F, T] features."""
        return middle(self.power, self.base.n_frames)

    def without(self, clips: Collection[int]) -> Enrolment:
        """Leaves some of the person's clips out.

        Which layers are worth learning, if that is known, is not found out again: it takes most of the
        time, and one clip of several changes it little.
        """
        kept = [i for i in range(len(self.power)) if i not in clips]
        part = self._with(power=self.power[kept])
        if "contributions" in self.__dict__:
            part.__dict__["contributions"] = self.__dict__["contributions"]
        return part

    def in_precision(self, precision: str, quantization: Quantization) -> Enrolment:
        """Lets the same be learned with other numbers."""
        return self._with(precision=precision, quantization=quantization)

    def _with(self, **changes: Any) -> Enrolment:
        """Changes some fields; what depends neither on clips nor on precision is not computed again."""
        return dataclasses.replace(self, **changes).knowing(self.negative_embeddings)

    def knowing(self, embeddings: Tensor) -> Enrolment:
        """Gives the same where the embeddings of the negatives, [N, E], are known and not computed."""
        other = dataclasses.replace(self)
        other.__dict__["negative_embeddings"] = embeddings
        return other

    def varied(self, copies: int, draw: str) -> Tensor:
        """Gives [K * copies, F, T] features of the clips, mildly varied."""
        power = self.power.repeat(copies, 1, 1)
        return augment(power, None, self.base.n_frames, MILD, torch_generator(self.seed, draw))

    @functools.cached_property
    def negative_embeddings(self) -> Tensor:
        """[N, E] embeddings of the negatives."""
        return embed(self.network, self.negatives)

    def delta(self, changes: dict[str, Tensor], method: str, **facts: Any) -> Delta:
        """Makes the Delta of an adapter."""
        if self.precision != FULL:
            facts = {"precision": self.precision, "quantization": to_mapping(self.quantization), **facts}
        return Delta(
            base_sha256=self.base.sha256,
            changes=changes,
            added_labels=(self.keyword,) if self.is_new else (),
            n_clips=len(self.power),
            made_by={"method": method, "keyword": self.keyword, **facts},
        )

    def row_delta(self, weight: Tensor, bias: Tensor, method: str, **facts: Any) -> Delta:
        """Makes the Delta that gives the keyword this row of the head: [E] and a scalar."""
        head = self.head
        n_labels = len(self.base.labels) + self.is_new
        changed = torch.zeros(n_labels, head.in_features), torch.zeros(n_labels)
        before = (0.0, 0.0) if self.is_new else (head.weight[self.row], head.bias[self.row])
        changed[0][self.row], changed[1][self.row] = weight - before[0], bias - before[1]
        return self.delta({"head.weight": changed[0], "head.bias": changed[1]}, method, **facts)


def embed(network: nn.Module, features: Tensor) -> Tensor:
    """Runs the embedding over [N, F, T] in batches and gives [N, E], without gradients."""
    with torch.no_grad():
        return torch.cat([cast(Any, network).embed(part) for part in torch.split(features, BATCH)])


def margins(bundle: Bundle, keyword: str, logits: Tensor) -> Tensor:
    """Gives what the score of a keyword is the sigmoid of.

    Args:
        bundle: says whether labels compete.
        keyword: one of its labels.
        logits: [N, L].

    Returns:
        [N] the keyword's logit; less the logarithm of the sum of all others where labels compete.
    """
    row = bundle.labels.index(keyword)
    return logits[:, row] - rivals(bundle.task, logits, row)


def rivals(task: str, logits: Tensor, row: int) -> Tensor:
    """Gives [N] what the logit in a row competes with: 0 in a wake-word model."""
    others = torch.cat([logits[:, :row], logits[:, row + 1 :]], 1)
    if task == "wake" or not others.shape[1]:
        return logits.new_zeros(len(logits))
    return others.logsumexp(1)


def direction(embeddings: Tensor) -> Tensor:
    """Gives the [E] direction of the mean of normalized embeddings [K, E]."""
    return fn.normalize(fn.normalize(embeddings, dim=1).mean(0), dim=0)


def has_unit_length(embeddings: Tensor) -> bool:
    """Tells whether embeddings [K, E] have length one, so that cosines mean the same everywhere."""
    return bool((embeddings.norm(dim=1) - 1).abs().max() < UNIT_TOLERANCE)
