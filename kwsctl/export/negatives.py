"""Embeddings of other people's words, by the exported model itself: what an enrolment there fits against.

A half is for learning. The other half is judged by, as words pass through the window (see
`learning/enrolment_material.py`), so that thresholds hold for a stream.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from kwsctl.errors import BundleError
from kwsctl.export.package import NEGATIVES, REMEDY, Package
from kwsctl.export.running import Runner

if TYPE_CHECKING:
    from kwsctl.learning.stored_negatives import StoredNegatives


@dataclass(frozen=True, eq=False)
class Others:
    """What other people said, as embeddings.

    Attributes:
        fit: [N, E] to learn from.
        fit_labels: N words.
        held_out: [P, M, E] to judge by, at each of P places in the window.
        held_out_labels: M words.
        voices: [M, S] of the held-out ones; empty without a speaker embedding.
    """

    fit: NDArray[np.float32] = field(repr=False)
    fit_labels: tuple[str, ...] = field(repr=False)
    held_out: NDArray[np.float32] = field(repr=False)
    held_out_labels: tuple[str, ...] = field(repr=False)
    voices: NDArray[np.float32] = field(repr=False)


def write_negatives(path: Path, negatives: StoredNegatives, n_frames: int, run: Runner) -> None:
    """Embeds the stored negatives.

    Args:
        path: the file.
        negatives: shipped features.
        n_frames: T of the model.
        run: the exported model on the CPU.
    """
    from kwsctl.learning.enrolment_material import PLACES, passing

    rows = range(len(negatives.labels))
    fit, held = list(rows[::2]), list(rows[1::2])
    fit_outputs = run(negatives.features(n_frames, fit).numpy())
    centred = negatives.features(n_frames, held)
    held_outputs = run(passing(centred).numpy())[0].reshape(len(PLACES), len(held), -1)
    tensors = {"fit": fit_outputs[0].astype(np.float16), "held_out": held_outputs.astype(np.float16)}
    if len(fit_outputs) > 1:
        tensors["voices"] = run(centred.numpy())[1].astype(np.float16)
    labels = {"fit": [negatives.labels[i] for i in fit], "held_out": [negatives.labels[i] for i in held]}
    metadata = {"kwsctl": json.dumps(labels | {"sources": list(negatives.sources)}, sort_keys=True)}
    owned = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    path.write_bytes(safetensors.numpy.save(owned, metadata))


def read_negatives(package: Package) -> Others:
    """Reads the embeddings of a package.

    Args:
        package: the package.

    Returns:
        Embeddings and what was said.

    Raises:
        BundleError: the package has none, or they are damaged.
    """
    path = package.folder / NEGATIVES
    if not path.is_file():
        raise BundleError(f"{package.folder} holds no stored clips of other people to enrol against.", REMEDY)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            labels = json.loads((file.metadata() or {})["kwsctl"])
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118  # not a dict
        return Others(
            tensors["fit"],
            tuple(labels["fit"]),
            tensors["held_out"],
            tuple(labels["held_out"]),
            tensors.get("voices", np.zeros((0, 0), np.float32)),
        )
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise BundleError(f"{path} is damaged: {error}.", REMEDY) from None
