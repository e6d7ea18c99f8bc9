"""What is trained over the frozen trunk of an encoder: a small network, and a row for each bit or user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl.errors import InputError

GROUPS = 2


class VoiceHead(nn.Module):
    """Maps statistics of the frames of a clip to outputs whose signs are the bits of a code.

    Normalization is by groups: statistics of a batch would be those of one user, and mislead all others.

    Args:
        n_statistics: S, mean and spread of what every block of the trunk says.
        hidden: size of the hidden layer.
        embedding: n_d.
        n_outputs: L, bits of a code, or users.
    """

    def __init__(self, n_statistics: int, hidden: int, embedding: int, n_outputs: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(n_statistics))
        self.register_buffer("spread", torch.ones(n_statistics))
        self.first = nn.Linear(n_statistics, hidden)
        self.norm = nn.GroupNorm(GROUPS, hidden)
        self.second = nn.Linear(hidden, embedding)
        self.rows = nn.Linear(embedding, n_outputs, bias=False)

    def embed(self, statistics: Tensor) -> Tensor:
        """Maps [B, S] to embeddings [B, n_d] of length one."""
        x = (statistics - cast(Tensor, self.center)) / cast(Tensor, self.spread)
        return fn.normalize(self.second(torch.relu(self.norm(self.first(x)))), dim=-1)

    def together(self, weights: Mapping[str, Tensor], statistics: Tensor) -> Tensor:
        """Maps [K, B, S] to outputs [K, B, L] by weights [K, ...] of K heads, as `forward` does for each."""
        x = (statistics - cast(Tensor, self.center)) / cast(Tensor, self.spread)
        h = _linear(x, weights["first.weight"], weights["first.bias"])
        grouped = h.view(*h.shape[:2], GROUPS, -1)
        grouped = (grouped - grouped.mean(3, keepdim=True)) * torch.rsqrt(
            grouped.var(3, keepdim=True, unbiased=False) + self.norm.eps
        )
        h = grouped.flatten(2) * weights["norm.weight"][:, None] + weights["norm.bias"][:, None]
        embedded = _linear(torch.relu(h), weights["second.weight"], weights["second.bias"])
        return fn.normalize(embedded, dim=-1) @ weights["rows.weight"].transpose(1, 2)

    def forward(self, statistics: Tensor) -> Tensor:
        """Maps [B, S] to outputs [B, L]."""
        return cast(Tensor, self.rows(self.embed(statistics)))


@torch.no_grad()
def begin_with(head: VoiceHead, projection: Tensor) -> None:
    """Makes a head say what a linear speaker embedding says, less its mean over the embedding.

    The hidden layer holds the projection and its opposite, one in each group, so that what passes the ReLU
    differs by the projection itself; rows are at right angles, so that cosines stay.

    Args:
        head: with a hidden layer and an embedding of size 2S', and identity scaling; changed in place.
        projection: [S', S] of the speaker embedding.

    Raises:
        InputError: the sizes do not fit.
    """
    size = len(projection)
    if head.first.out_features != 2 * size or head.second.out_features != 2 * size:
        raise InputError(
            f"A speaker embedding of {size} numbers needs a hidden layer and an embedding of {2 * size}.",
            f"Use verification.hidden={2 * size} and verification.embedding={2 * size}.",
        )
    spread, center = cast(Tensor, head.spread), cast(Tensor, head.center)
    scaled = projection * spread
    head.first.weight.copy_(torch.cat([scaled, -scaled]))
    head.first.bias.copy_(torch.cat([projection @ center, -(projection @ center)]))
    eye = torch.eye(size)
    head.second.weight.zero_()
    head.second.weight[:size] = torch.cat([eye, -eye], 1)
    head.second.bias.zero_()
    nn.init.orthogonal_(head.rows.weight)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
