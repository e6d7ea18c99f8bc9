"""Labels that the shared model gives to a device's own clips, the surest first.

Federated self-training (FedSTAR: Tsouvalas et al. 2021, arXiv 2107.06877) asks for a confidence that rises.
How sure a model is of one word among forty depends on how far it is trained, so a share is asked for instead,
which grows from round to round (curriculum labelling: Cascante-Bonilla et al. 2021, arXiv 2001.06001, section
3), and the same for every word (class-balanced self-training: Zou et al. 2018, arXiv 1810.07911): the surest
guesses of all are of a few easy words, which would crowd out all others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kwsctl.federated.clients import Client
from kwsctl.federated.options import Local
from kwsctl.federated.session import Session


def share_from(local: Local, number: int, rounds: int) -> float:
    """Gives the share of unlabelled clips that get a label in a round: none before `pseudo_after`."""
    since = number - local.pseudo_after
    if since < 0:
        return 0.0
    left = max(1, rounds - 1 - local.pseudo_after)
    return local.pseudo_from + (local.pseudo_to - local.pseudo_from) * min(1.0, since / left)


def surest_of_each(margin: Tensor, label: Tensor, share: float, n_labels: int) -> Tensor:
    """Chooses the surest guesses, at most equally many of each label.

    Args:
        margin: [N] how sure each guess is.
        label: [N] what was guessed.
        share: of the clips; 1 takes as many of each label as there are clips for each label on average.
        n_labels: L.

    Returns:
        [N] which to take.
    """
    most = math.ceil(share * len(margin) / n_labels) if share > 0 else 0
    chosen = torch.zeros(len(margin), dtype=torch.bool)
    for one in torch.unique(label):
        own = torch.nonzero(label == one)[:, 0]
        chosen[own[margin[own].argsort(descending=True)[:most]]] = True
    return chosen


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
        [N] labels, and [N] which clips to learn from: the labelled ones, and those of the surest guesses.
    """
    local = session.options.local
    known = torch.from_numpy(client.labelled)
    rows = torch.from_numpy(client.rows)[~known]
    with torch.no_grad():
        shares = session.base.probabilities(session.resident.logits(weights, session.as_they_are(rows)))
    best = shares.topk(min(2, shares.shape[1]), dim=1)
    margin = best.values[:, 0] - best.values[:, -1]
    wanted = share_from(local, number, session.options.rounds)
    chosen = surest_of_each(margin, best.indices[:, 0], wanted, session.n_labels)
    labels, keep = target.clone(), known.clone()
    labels[~known] = torch.where(chosen, best.indices[:, 0], -1)
    keep[~known] = chosen
    return labels, keep
