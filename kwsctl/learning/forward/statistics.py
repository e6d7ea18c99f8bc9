"""Normalizes by what the stream is like: batch-norm statistics, refreshed."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from kwsctl.bundle import Delta
from kwsctl.learning.forward._change import copied, delta_of, norms
from kwsctl.learning.updating import Material

AS_MANY = 512
"""Windows of the stream that would count as much as all that the network was trained on."""


def adapt(material: Material) -> Delta | None:
    """Mixes the statistics of the training set with those of the stream.

    As in Schneider et al. 2020 (arXiv 2006.16971, equation 3): n windows of the stream count as n of n + N.

    Args:
        material: only its unlabelled windows are used.

    Returns:
        Changes of running means and variances; None if the network has none, or the stream gave too little.
    """
    windows = material.unlabelled
    network = copied(material.task)
    layers = norms(network)
    if not layers or len(windows) < 8:
        return None
    for layer in layers:
        layer.train()
        cast(nn.BatchNorm1d, layer).momentum = len(windows) / (len(windows) + AS_MANY)
    with torch.no_grad():
        network.embed(windows)  # type: ignore[operator]  # every network of models/ has it
    return delta_of(material.task, network.eval(), "statistics")
