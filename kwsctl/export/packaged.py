"""A package in the place of a bundle: everything that runs a bundle runs the exported graph instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

import torch
from torch import Tensor, nn

from kwsctl.bundle import Task
from kwsctl.errors import BundleError
from kwsctl.export import package as packages
from kwsctl.export.package import Package
from kwsctl.export.personal import Part
from kwsctl.export.running import Runner
from kwsctl.export.runtime import Runtime, model_runner
from kwsctl.personal.model import PersonalBundle, WithVoice


class PackagedNet(nn.Module):
    """The exported graph, window by window, and a head of torch.

    Args:
        run: maps features to the outputs of the graph.
        head: maps embeddings [B, E] to logits [B, L].
        embedding_size: E.
    """

    def __init__(self, run: Runner, head: nn.Linear, embedding_size: int) -> None:
        super().__init__()
        self._run, self.head, self.embedding_size = run, head, embedding_size

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Runs the graph over features [B, F, T]."""
        found = self._run(x.detach().cpu().float().numpy())
        return [torch.from_numpy(part) for part in found]

    def embed(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to embeddings [B, E]."""
        return self.outputs(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        return cast(Tensor, self.head(self.embed(x)))


class PackagedDuet(PackagedNet):
    """The same for a graph that gives the voice, too."""

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps features [B, F, T] to word [B, E] and speaker embeddings [B, S]."""
        word, voice = self.outputs(x)
        return word, voice

    def speaker(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to speaker embeddings [B, S]."""
        return self.outputs(x)[1]


@dataclass(frozen=True)
class PackagedBundle(PersonalBundle):
    """A bundle whose network is the exported graph; its weights are those of the head.

    Attributes:
        package: where the graph lies.
    """

    package: Package | None = None

    @property
    def sha256(self) -> str:
        """Identity: that of the package with this head."""
        tensors = [self.weights[name].numpy().tobytes() for name in ("head.weight", "head.bias")]
        labels = "\n".join(self.labels).encode("utf-8")
        return packages.content_digest(self._package.sha256.encode(), labels, *tensors)

    def model(self) -> nn.Module:
        """Opens the graph.

        Returns:
            A network whose `embed` is the exported one.
        """
        size = self._package.manifest.embedding_size
        weight, bias = self.weights["head.weight"], self.weights["head.bias"]
        head = nn.Linear(size, max(1, len(weight)))  # torch warns of a head without rows
        head.weight, head.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        head.out_features = len(weight)
        kind = PackagedDuet if self._package.manifest.voice_size else PackagedNet
        network = kind(model_runner(self._package), head, size).eval()
        if self.voice is None or not self.only:
            return network
        return WithVoice(network, self.voice, tuple(self.labels.index(k) for k in self.only)).eval()

    def to_bytes(self) -> NoReturn:
        """Refuses: the weights are not there any more.

        Raises:
            BundleError: always.
        """
        raise BundleError(
            "An exported package cannot be saved as a bundle.", "Use the bundle it was made from."
        )

    @property
    def _package(self) -> Package:
        if self.package is None:
            raise BundleError("This packaged bundle has no package.")
        return self.package


def packaged_bundle(package: Package, part: Part | None = None) -> PackagedBundle:
    """Puts a package in the place of a bundle.

    Args:
        package: see `package.read`.
        part: of a person, if it is to hear as theirs.

    Returns:
        What stands for the bundle.

    Raises:
        BundleError: a graph cannot be opened.
    """
    manifest = package.manifest
    head = Runtime(package).head() if part is None else part.head
    thresholds: Mapping[str, float] = {**manifest.thresholds, **(part.thresholds if part else {})}
    return PackagedBundle(
        arch=manifest.arch,
        config=manifest.config,
        features=manifest.features,
        labels=head.labels,
        task=cast(Task, manifest.task),
        clip_s=manifest.clip_s,
        weights={"head.weight": torch.from_numpy(head.weight), "head.bias": torch.from_numpy(head.bias)},
        thresholds=thresholds,
        lineage=manifest.lineage,
        voice=None if part is None or part.voice is None else torch.from_numpy(part.voice),
        only=() if part is None else part.only,
        package=package,
    )


def load(folder: Path) -> PackagedBundle:
    """Reads a package and puts it in the place of a bundle.

    Args:
        folder: of the package.

    Returns:
        What stands for the bundle.

    Raises:
        BundleError: missing, damaged, or from a newer version.
    """
    return packaged_bundle(packages.read(folder))
