"""Refuses combinations that would run and be wrong, and names one that works."""

from __future__ import annotations

from types import ModuleType

from kwsctl.errors import InputError
from kwsctl.federated.options import FederateOptions


def check(options: FederateOptions, aggregator: ModuleType, uplink: ModuleType) -> None:
    """Refuses what does not go together.

    Args:
        options: all of them.
        aggregator: the file of `options.aggregator`.
        uplink: the file of `options.uplink`.

    Raises:
        InputError: says why, and what works instead.
    """
    if options.secure.on:
        _check_secure(options, aggregator, uplink)
    if options.privacy.noise:
        _check_private(options, aggregator, uplink)
    if options.local.scaffold and (options.secure.on or options.privacy.noise or options.uplink != "none"):
        raise InputError(
            "SCAFFOLD sends control variates, which are neither clipped, compressed nor masked.",
            "Use local.proximal instead, or leave secure, privacy.noise and uplink out.",
        )
    if options.topology != "star":
        _check_topology(options)


def _check_secure(options: FederateOptions, aggregator: ModuleType, uplink: ModuleType) -> None:
    if not aggregator.LINEAR and options.secure.groups < 4:
        raise InputError(
            f"Secure aggregation shows the server one sum, so {options.aggregator} would see no "
            f"single client and "
            "would give back the poisoned mean.",
            "Use --set secure.groups=6, which makes a sum for each of 6 groups of clients and lets "
            f"{options.aggregator} choose among these, or aggregator=mean with privacy.clip.",
        )
    if not uplink.COMMON_GRID:
        raise InputError(
            f"With {options.uplink}, every client sends other coordinates, and their masks would not cancel.",
            "Use uplink=none and fewer secure.bits, or share less (--part head).",
        )
    if options.uplink != "none":
        raise InputError(
            f"Masked words are 32 bits long whatever {options.uplink} made of them: nothing would be saved.",
            "Use uplink=none with secure aggregation, and share less (--part head).",
        )
    if options.watch.score:
        raise InputError(
            "Anomaly scores need single changes, which secure aggregation hides.",
            "Use --set secure.groups=6 with aggregator=trimmed_mean, or watch.score=0.",
        )


def _check_private(options: FederateOptions, aggregator: ModuleType, uplink: ModuleType) -> None:
    if not aggregator.LINEAR:
        raise InputError(
            f"Epsilon is counted for a noisy sum; {options.aggregator} does more with single "
            f"changes than that.",
            "Use aggregator=mean, fedavgm, fedadam, fedyogi or fedadagrad with privacy.noise.",
        )
    if uplink.BIASED:
        raise InputError(
            f"{options.uplink} keeps what it leaves out for later rounds, so that a client counts "
            f"for more than its clip.",
            "Use uplink=int8 or none with privacy.noise.",
        )
    if options.watch.score:
        raise InputError(
            "Leaving clients out by what they sent is not covered by epsilon.",
            "Use watch.score=0 with privacy.noise.",
        )


def _check_topology(options: FederateOptions) -> None:
    used = {
        "secure.on": options.secure.on,
        "privacy.noise": bool(options.privacy.noise),
        "privacy.clip": bool(options.privacy.clip),
        "watch.score": bool(options.watch.score),
        "local.scaffold": options.local.scaffold,
        "personal": bool(options.personal),
        "downlink": options.downlink != "none",
    }
    named = [name for name, on in used.items() if on]
    if named:
        raise InputError(
            f"{', '.join(named)} is built for the topology star, not for {options.topology}.",
            "Use topology=star, or leave it out.",
        )
    if options.topology == "gossip" and options.attack:
        raise InputError(
            "Attacks are built for topologies with a server.", "Use topology=star or hierarchical."
        )
