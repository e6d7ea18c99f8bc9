"""A training program of the head for ExecuTorch: loss and gradients on the device, by its own autograd.

Experimental, like ExecuTorch's training itself. It is run here before it ships: the losses of its steps have
to be those of torch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kwsctl.errors import InputError, ParityError
from kwsctl.export import elsewhere
from kwsctl.export.scores import Head

FILE = "head_train.pte"
EXTRA = "executorch"
BATCH, STEPS, RATE, MOMENTUM = 8, 10, 0.1, 0.9
TOLERANCE = 1e-5

Floats = NDArray[np.float32]


def write_trainable(head: Head, embeddings: Floats, out: Path, seed: int = 0) -> dict[str, Any]:
    """Writes the program of one step of learning of a head, and proves it.

    Args:
        head: with the rows to learn.
        embeddings: [N, E] of any words, for the proof.
        out: the `.pte` file.
        seed: of the batches of the proof.

    Returns:
        Facts for the report: losses of ExecuTorch and of torch, step by step, and their largest difference.

    Raises:
        InputError: the head has no rows.
        DeviceError: the extra is not there, or the program cannot be made.
        ParityError: the losses differ.
    """
    if not head.labels:
        raise InputError(
            "An encoder without labels has no head to train.",
            "Export a person's: --user NAME, or a keyword model.",
        )
    draw = np.random.default_rng(seed)
    rows = draw.integers(len(embeddings), size=(STEPS, BATCH))
    target = np.eye(len(head.labels), dtype=np.float32)[draw.integers(len(head.labels), size=(STEPS, BATCH))]
    given = embeddings[rows].astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        known, data, found = (Path(folder) / name for name in ("head.npz", "data.npz", "losses.npz"))
        np.savez(known, weight=head.weight, bias=head.bias)
        np.savez(data, embedding=given, target=target)
        elsewhere.call(EXTRA, "head_training", ["make", known, head.task, str(BATCH), out])
        elsewhere.call(EXTRA, "head_training", ["train", out, data, str(RATE), str(MOMENTUM), found])
        with np.load(found) as file:
            losses = file["losses"]
    exact = torch_losses(head, given, target)
    apart = float(np.abs(losses - exact).max())
    if not apart <= TOLERANCE:
        raise ParityError(
            f"The losses of {FILE} differ from torch's by {apart:.2g}, {TOLERANCE:g} are allowed.",
            "Leave --trainable out; head_step.onnx learns without ExecuTorch.",
        )
    return {
        "file": FILE, "bytes": out.stat().st_size, "batch": BATCH, "largest_difference": apart,
        "losses": losses.tolist(), "losses_torch": exact.tolist(),
    }  # fmt: skip


def torch_losses(head: Head, embeddings: Floats, target: Floats) -> NDArray[np.float64]:
    """Takes the same steps with torch.

    Args:
        head: where to begin.
        embeddings: [N, B, E] batches.
        target: [N, B, L] ones and zeros.

    Returns:
        [N] losses before each step.
    """
    weight, bias = (torch.from_numpy(part.copy()).requires_grad_() for part in (head.weight, head.bias))
    optimizer = torch.optim.SGD([weight, bias], lr=RATE, momentum=MOMENTUM)
    losses = []
    for x, y in zip(torch.from_numpy(embeddings), torch.from_numpy(target), strict=True):
        logits = torch.nn.functional.linear(x, weight, bias)
        if head.task == "wake":
            each = torch.nn.functional.softplus(logits) - y * logits
        else:
            each = -y * logits.log_softmax(1)
        loss = each.sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return np.array(losses)
