"""Moves the keyword's row to the mean of the surest calls, enrolled and heard (T3A, Iwasawa 2021)."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from kwsctl.bundle import Delta
from kwsctl.learning.adapters import prototype
from kwsctl.learning.adapters._enrolment import embed, margins
from kwsctl.learning.forward._change import calls_of
from kwsctl.learning.updating import Material

MOST = 24


def adapt(material: Material) -> Delta | None:
    """Keeps the supports of least entropy and makes their mean the row.

    As in Iwasawa & Matsuo 2021 ("Test-time classifier adjustment module", algorithm 1), with the enrolled
    clips always among the supports, and the base's row like two of them.

    Args:
        material: the calls are the candidates.

    Returns:
        One row of the head.
    """
    task, replayed = material.task, len(material.known.replay)
    network = task.network
    found = margins(task.base, task.keyword, cast(nn.Linear, network.head)(embed(network, calls_of(task))))
    chance = found.sigmoid().clamp(1e-6, 1 - 1e-6)
    entropy = -(chance * chance.log() + (1 - chance) * (1 - chance).log())
    entropy[:replayed] = -1.0
    # A call that the model takes for something else is no support, however sure it is of that.
    entropy[(found < material.known.threshold - 2) & (entropy >= 0)] = torch.inf
    order = [i for i in entropy.argsort().tolist() if entropy[i] < torch.inf][: replayed + MOST]
    return prototype.learn(task.without(set(range(len(task.power))) - set(order)))
