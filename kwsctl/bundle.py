"""The model file: one safetensors file that holds weights and everything needed to use them.

Its metadata has exactly one key, `kwsctl`, with versioned JSON of sorted keys: safetensors
writes several keys in varying order, and with one key equal content gives equal bytes, so the
sha256 of the file is the identity of the model.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from kwsctl import architecture
from kwsctl.errors import BundleError
from kwsctl.registry import did_you_mean
from kwsctl.storage import write_bytes
from kwsctl.types import FeatureSpec

FORMAT = 1
LOW_RANK_UP, LOW_RANK_DOWN = ":up", ":down"
"""Ends of the names of two thin matrices in a Delta whose product is the change of a weight."""
Task = Literal["keywords", "wake"]


@dataclass(frozen=True)
class Delta:
    """What changed on top of a bundle: the answer of enrolment, adaptation or a federated client.

    Attributes:
        base_sha256: of the bundle it changes.
        changes: per weight name, what to add; or, under the name with `LOW_RANK_UP` and `LOW_RANK_DOWN`, two
            matrices [outputs, r] and [r, everything else] whose product is to be added.
        added_labels: labels appended to the head; the rows are in `changes` of the grown shape.
        n_clips: how many clips it was learned from.
        made_by: method and options, as JSON-able values.
    """

    base_sha256: str
    changes: Mapping[str, Tensor] = field(repr=False)
    added_labels: tuple[str, ...] = ()
    n_clips: int = 0
    made_by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A trained model with all that is needed to use it.

    Attributes:
        arch: file in `models/`.
        config: the fields of its `Config`.
        features: how audio becomes features.
        labels: L names in the order of the outputs.
        task: `keywords` (softmax over labels) or `wake` (a sigmoid per label).
        clip_s: length of audio that the network sees at once, in s.
        weights: the network's state.
        thresholds: per keyword, the score from which it counts as detected.
        lineage: where it comes from: data, licences, speakers, options, parent, version.
    """

    arch: str
    config: Mapping[str, Any]
    features: FeatureSpec
    labels: tuple[str, ...]
    task: Task
    clip_s: float
    weights: Mapping[str, Tensor] = field(repr=False)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def sha256(self) -> str:
        """Identity of the bundle: the sha256 of its file."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @functools.cached_property
    def network(self) -> nn.Module:
        """The network with these weights and nothing else, built once: to be asked, never trained.

        Who changes a network, or keeps a state in one, builds it with `model`. Building one takes as long as
        hearing a word, and one update asks the same bundle dozens of times.
        """
        return Bundle.model(self).requires_grad_(False)

    @property
    def n_frames(self) -> int:
        """T, the feature frames that the network sees at once."""
        return self.features.frames(self.clip_s)

    def model(self) -> nn.Module:
        """Builds the network with these weights, in evaluation mode.

        Returns:
            A network from `models/`.

        Raises:
            BundleError: the weights do not fit the architecture.
        """
        network = architecture.build(self.arch, self.config, len(self.labels), self.features.mel_bins)
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise BundleError(
                f"The weights do not fit {self.arch} with {len(self.labels)} labels: {reason}",
                "Train it again with this version.",
            ) from None
        return network.eval()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Turns logits [..., L] into scores in [0, 1]: softmax for keywords, sigmoid for a wake word."""
        return logits.softmax(-1) if self.task == "keywords" else logits.sigmoid()

    def with_delta(self, delta: Delta) -> Bundle:
        """Applies a change.

        Args:
            delta: a change that was made on this bundle.

        Returns:
            The changed bundle; this one stays as it is.

        Raises:
            BundleError: it was made on another bundle, or its weights do not fit.
        """
        if delta.base_sha256 != self.sha256:
            raise BundleError(
                f"The change was made on bundle {delta.base_sha256[:12]}, this is {self.sha256[:12]}.",
                "Use the bundle it was made on, or make it again on this one.",
            )
        weights = dict(self.weights)
        for name, change in _dense(delta.changes, weights):
            weights[name] = _grown(name, weights, change, len(delta.added_labels)) + change
        lineage = dict(self.lineage) | {"parent": self.sha256, "made_by": dict(delta.made_by)}
        return dataclasses.replace(
            self, weights=weights, labels=self.labels + delta.added_labels, lineage=lineage
        )

    def to_bytes(self) -> bytes:
        """Serializes to the bytes of the file."""
        header = {
            "format": FORMAT,
            "kind": "bundle",
            "arch": self.arch,
            "config": dict(self.config),
            "features": dataclasses.asdict(self.features),
            "labels": list(self.labels),
            "task": self.task,
            "clip_s": self.clip_s,
            "thresholds": dict(self.thresholds),
            "lineage": dict(self.lineage),
        }
        return _pack(self.weights, header)

    def save(self, path: Path) -> str:
        """Writes the file atomically.

        Args:
            path: usually `*.safetensors`.

        Returns:
            The sha256 of the file.
        """
        content = self.to_bytes()
        write_bytes(path, content)
        return hashlib.sha256(content).hexdigest()


def load(path: Path) -> Bundle:
    """Reads a bundle.

    Args:
        path: a file that `Bundle.save` wrote.

    Returns:
        What was saved.

    Raises:
        BundleError: missing, corrupt, not a bundle, or from a newer version.
    """
    weights, header = _unpack(path, "bundle")
    try:
        return Bundle(
            arch=header["arch"],
            config=header["config"],
            features=FeatureSpec(**header["features"]),
            labels=tuple(header["labels"]),
            task=cast("Task", header["task"]),
            clip_s=float(header["clip_s"]),
            weights=weights,
            thresholds=header["thresholds"],
            lineage=header["lineage"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{path} lacks or garbles a field: {error}.", "Train or download it again."
        ) from None


def save_delta(delta: Delta, path: Path) -> None:
    """Writes a change atomically, in the format of bundles.

    Args:
        delta: what to write.
        path: usually `*.safetensors`.
    """
    header = {
        "format": FORMAT,
        "kind": "delta",
        "base_sha256": delta.base_sha256,
        "added_labels": list(delta.added_labels),
        "n_clips": delta.n_clips,
        "made_by": dict(delta.made_by),
    }
    write_bytes(path, _pack(delta.changes, header))


def load_delta(path: Path) -> Delta:
    """Reads a change.

    Args:
        path: a file that `save_delta` wrote.

    Returns:
        What was saved.

    Raises:
        BundleError: missing, corrupt, not a change, or from a newer version.
    """
    changes, header = _unpack(path, "delta")
    try:
        return Delta(
            base_sha256=header["base_sha256"],
            changes=changes,
            added_labels=tuple(header["added_labels"]),
            n_clips=int(header["n_clips"]),
            made_by=header["made_by"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path} lacks or garbles a field: {error}.", "Make the change again.") from None


def _pack(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> bytes:
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"kwsctl": json.dumps(header, sort_keys=True, ensure_ascii=False, allow_nan=False)}
    return safetensors.torch.save(contiguous, metadata)


def _unpack(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    remedy = f"Give a {kind} written by kwsctl; `kwsctl train` makes one."
    if not path.is_file():
        there = [other.name for other in path.parent.glob("*.safetensors")]
        raise BundleError(f"There is no {kind} file {path}.", f"{did_you_mean(path.name, there)}{remedy}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies, because the file may be replaced while its memory is still mapped.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  # not a dict
        header = json.loads(metadata["kwsctl"])
        version, found = int(header["format"]), header["kind"]
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise BundleError(f"{path} is not a kwsctl {kind}: {error}.", remedy) from None
    if version > FORMAT:
        raise BundleError(
            f"{path} has format {version}, this kwsctl reads up to {FORMAT}.", "Upgrade kwsctl to use it."
        )
    if found != kind:
        raise BundleError(f"{path} holds a {found}, not a {kind}.", remedy)
    return tensors, header


def _dense(changes: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yields each change in the shape of its weight, multiplying low-rank ones out."""
    for name, change in changes.items():
        if name.endswith(LOW_RANK_UP):
            weight = name.removesuffix(LOW_RANK_UP)
            yield weight, _product(weight, change, changes.get(weight + LOW_RANK_DOWN), weights.get(weight))
        elif not name.endswith(LOW_RANK_DOWN):
            yield name, change
        elif name.removesuffix(LOW_RANK_DOWN) + LOW_RANK_UP not in changes:
            raise BundleError(f"The change {name!r} lacks its other matrix.")


def _product(name: str, up: Tensor, down: Tensor | None, weight: Tensor | None) -> Tensor:
    """Multiplies the two thin matrices of a change out."""
    if down is None:
        raise BundleError(f"The change {name + LOW_RANK_UP!r} lacks its other matrix.")
    if up.ndim != 2 or down.ndim != 2 or up.shape[1] != down.shape[0]:
        raise BundleError(
            f"The matrices that change {name!r} have the shapes {tuple(up.shape)} and {tuple(down.shape)}."
        )
    product = up.float() @ down.float()
    if weight is None or weight.shape[:1] != product.shape[:1] or weight.numel() != product.numel():
        return product
    return product.view(weight.shape)


def _grown(name: str, weights: Mapping[str, Tensor], change: Tensor, n_added: int) -> Tensor:
    """Pads a head's rows with zeros where the change brings new labels."""
    weight = weights.get(name)
    if weight is None:
        raise BundleError(f"The change names the weight {name!r}, which this bundle does not have.")
    if weight.shape != change.shape and n_added and weight.shape[1:] == change.shape[1:]:
        weight = torch.cat([weight, weight.new_zeros(n_added, *weight.shape[1:])])
    if weight.shape != change.shape:
        raise BundleError(
            f"The change of {name!r} has shape {tuple(change.shape)}, the weight {tuple(weight.shape)}."
        )
    return weight
