"""Runs a package with ONNX Runtime and numpy alone, as a device does; needs no torch."""

from __future__ import annotations

from typing import cast

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from kwsctl import registry
from kwsctl.errors import BundleError, InputError
from kwsctl.export.package import FRONTEND, HEAD_STEP, REMEDY, WEIGHTS, Package
from kwsctl.export.running import Runner, cpu_session, run_windows
from kwsctl.export.scores import Head
from kwsctl.export.target import TARGETS, Target

Floats = NDArray[np.float32]


class Runtime:
    """An opened package.

    Attributes:
        package: what was opened.

    Args:
        package: see `package.read`.

    Raises:
        BundleError: a graph cannot be opened.
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        self._frontend = cpu_session(package.folder / FRONTEND)
        self._run = model_runner(package)

    def features(self, samples: Floats) -> Floats:
        """Maps samples [S] in [-1, 1] to features [F, T]; T is 0 for less than one window."""
        spec = self.package.manifest.features
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise InputError(
                f"Features need floating-point samples of shape [S], not {samples.dtype} {samples.shape}.",
                "Divide int16 samples by 32768.",
            )
        if len(samples) < spec.window_samples:
            return np.zeros((spec.mel_bins, 0), np.float32)
        features: Floats = self._frontend.run(None, {"waves": samples[None].astype(np.float32)})[0][0]
        return features

    def outputs(self, features: Floats) -> list[Floats]:
        """Maps features [N, F, T] to embeddings [N, E], and voices [N, S] if the model gives them."""
        return self._run(np.ascontiguousarray(features, dtype=np.float32))

    def head(self) -> Head:
        """Gives the head that everybody shares."""
        path, manifest = self.package.folder / WEIGHTS, self.package.manifest
        try:
            tensors = safetensors.numpy.load_file(path)
            weight, bias = tensors["weight"], tensors["bias"]
        except (safetensors.SafetensorError, KeyError) as error:
            raise BundleError(f"{path} is damaged: {error}.", REMEDY) from None
        wanted = (len(manifest.labels), manifest.embedding_size)
        if (weight.shape, bias.shape) != (wanted, wanted[:1]) and manifest.labels:
            raise BundleError(
                f"{path} has {len(weight)} rows of {weight.shape[-1]}, the manifest {wanted[0]} labels and "
                f"embeddings of {wanted[1]}.",
                REMEDY,
            )
        return Head(manifest.labels, manifest.task, weight, bias)

    def learner(self) -> HeadLearner:
        """Gives what learns a head by the package's own graph."""
        return HeadLearner(cpu_session(self.package.folder / HEAD_STEP))


def model_runner(package: Package) -> Runner:
    """Opens the model file of a package on this machine's CPU.

    Args:
        package: of any target.

    Returns:
        What maps features [N, F, T] to the outputs.

    Raises:
        BundleError: the file cannot be opened.
        DeviceError: what runs such files is not installed.
    """
    if package.model.suffix == ".onnx":
        session = cpu_session(package.model)
        return lambda features: run_windows(session, features)
    target = cast(Target, registry.load(TARGETS, package.manifest.target))
    return target.runners(package.model)["cpu"]


class HeadLearner:
    """Takes steps of stochastic gradient descent on a head, see `head_graphs.head_step_graph`.

    Args:
        session: of `head_step.onnx`.
    """

    def __init__(self, session: object) -> None:
        self._session = session

    def learn(
        self,
        head: Head,
        embeddings: Floats,
        target: Floats,
        *,
        clip_weight: Floats | None = None,
        rows: Floats | None = None,
        steps: int,
        rate: float,
        momentum: float = 0.9,
        strength: float = 0.0,
    ) -> tuple[Head, list[float]]:
        """Learns.

        Args:
            head: where to begin, and what to stay near.
            embeddings: [B, E], all of them in every step.
            target: [B, L] ones and zeros, or shares.
            clip_weight: [B]; all alike if None.
            rows: [L] 1 for rows that learn; all if None.
            steps: how many.
            rate: learning rate.
            momentum: of the velocity.
            strength: of staying near the first head.

        Returns:
            The head, and the loss before each step.
        """
        state = {
            "weight": head.weight, "bias": head.bias,
            "weight_momentum": np.zeros_like(head.weight), "bias_momentum": np.zeros_like(head.bias),
        }  # fmt: skip
        constant = {
            "embedding": embeddings, "target": target, "first_weight": head.weight,
            "clip_weight": np.ones(len(embeddings)) if clip_weight is None else clip_weight,
            "row_mask": np.ones(len(head.labels)) if rows is None else rows,
            "rate": np.array(rate), "momentum": np.array(momentum), "strength": np.array(strength),
        }  # fmt: skip
        feed = {name: np.asarray(value, dtype=np.float32) for name, value in constant.items()}
        losses = []
        for _ in range(steps):
            *moved, loss = self._session.run(None, {**feed, **state})  # type: ignore[attr-defined]
            state = dict(zip(state, moved, strict=True))
            losses.append(float(loss))
        return Head(head.labels, head.task, state["weight"], state["bias"]), losses
