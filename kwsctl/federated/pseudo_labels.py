"""Labels that the shared model gives to a device's own clips where it is sure (FedSTAR, 2107.06877)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kwsctl.federated.clients import Client
from kwsctl.federated.session import Session


def confidence_from(first: float, last: float, number: int, rounds: int) -> float:
    """Gives the confidence that is asked for in a round: from `first` to `last` along half a cosine."""
    done = min(1.0, number / max(1, rounds - 1))
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * done))


def guessed(
    session: Session, weights: Tensor, client: Client, target: Tensor, number: int
) -> tuple[Tensor, Tensor]:
    """Labels the unlabelled clips of a client.

    Args:
        session: what does not change.
        weights: [P'] of the model that was sent out.
        client: whose clips.
        target: [N] true labels, of which only the known ones are used.
        number: of the round.

    Returns:
        [N] labels, and [N] which clips to learn from: the labelled ones, and those with a confident guess.
    """
    local = session.options.local
    known = torch.from_numpy(client.labelled)
    rows = torch.from_numpy(client.rows)[~known]
    draw = torch.Generator().manual_seed(0)
    plain = torch.zeros(len(rows), dtype=torch.bool)
    with torch.no_grad():
        if session.on_embeddings:
            inputs = session.inputs(rows, plain, draw)
        else:
            inputs = session.corpus.features(session.corpus.train, rows)
        shares = session.base.probabilities(session.resident.logits(weights, inputs))
    sure, label = shares.max(1)
    asked = confidence_from(local.pseudo_from, local.pseudo_to, number, session.options.rounds)
    labels, keep = target.clone(), known.clone()
    labels[~known] = torch.where(sure >= asked, label, -1)
    keep[~known] = sure >= asked
    return labels, keep
