"""The file of a verification model: the trained head, and which encoder's trunk it sits on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kwsctl.bundle import Bundle
from kwsctl.errors import BundleError
from kwsctl.options import to_mapping
from kwsctl.verification.head import VoiceHead
from kwsctl.verification.options import VerificationOptions

ARCH = "voice-head"
"""Not a file in `models/`: the network of a verification model is a head over the trunk of another bundle."""

COHORT = "cohort"
"""Name of the outputs [M, c] of stored strangers in a verification model; may be absent."""


def as_bundle(
    encoder: Bundle,
    head: VoiceHead,
    options: VerificationOptions,
    users: Sequence[str] = (),
    lineage: Mapping[str, Any] | None = None,
) -> Bundle:
    """Makes the bundle of a head.

    Args:
        encoder: whose trunk it sits on.
        head: with its weights.
        options: how it is trained.
        users: whose embeddings its rows are, for methods that have these.
        lineage: where it comes from.

    Returns:
        A bundle that `head_of` reads.
    """
    return Bundle(
        arch=ARCH,
        config={
            "encoder": encoder.sha256,
            "statistics": head.first.in_features,
            "outputs": head.rows.out_features,
            **to_mapping(options),
        },
        features=encoder.features,
        labels=tuple(users),
        task="wake",
        clip_s=encoder.clip_s,
        weights={name: weight.detach().clone() for name, weight in head.state_dict().items()},
        lineage=lineage or {},
    )


def head_of(bundle: Bundle) -> VoiceHead:
    """Builds the head of a verification model.

    Args:
        bundle: of `as_bundle`.

    Returns:
        The head in evaluation mode.

    Raises:
        BundleError: it tells words, not who speaks.
    """
    check(bundle)
    config = bundle.config
    head = VoiceHead(config["statistics"], config["hidden"], config["embedding"], config["outputs"])
    try:
        head.load_state_dict({n: w for n, w in bundle.weights.items() if n != COHORT})
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise BundleError(f"The weights do not fit the head: {reason}", "Train it again.") from None
    head.eval()
    return head


def check(bundle: Bundle, encoder: Bundle | None = None) -> None:
    """Checks that a bundle tells who speaks, and sits on an encoder.

    Args:
        bundle: of `as_bundle`.
        encoder: whose trunk is to be used, if any.

    Raises:
        BundleError: it does not.
    """
    if bundle.arch != ARCH:
        raise BundleError(
            f"This bundle ({bundle.arch}) tells words, not who speaks.",
            "Give one that kwsctl federate --task verification wrote.",
        )
    if encoder is not None and bundle.config["encoder"] != encoder.sha256:
        raise BundleError(
            f"The verification model sits on encoder {bundle.config['encoder'][:12]}, "
            f"this is {encoder.sha256[:12]}.",
            "Give the encoder that it was trained on with --encoder.",
        )
