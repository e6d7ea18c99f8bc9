"""Makes and runs a training program of a head with ExecuTorch, in an environment that has it.

python head_training.py make HEAD.npz TASK BATCH OUT.pte
python head_training.py train MODEL.pte DATA.npz RATE MOMENTUM OUT.npz
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class HeadLoss(nn.Module):
    """The loss of a head on embeddings; what is learned are its weight and bias."""

    def __init__(self, weight: Tensor, bias: Tensor, task: str) -> None:
        super().__init__()
        self.weight, self.bias, self.task = nn.Parameter(weight), nn.Parameter(bias), task

    def forward(self, embedding: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Maps embeddings [B, E] and targets [B, L] to the mean loss and the logits."""
        logits = nn.functional.linear(embedding, self.weight, self.bias)
        if self.task == "wake":
            each = nn.functional.softplus(logits) - target * logits
        else:
            each = -target * logits.log_softmax(1)
        return each.sum(1).mean(), logits.detach()


def make(head: str, task: str, batch: str, out: str) -> None:
    """Writes the program of one step: loss and gradients of a batch of fixed size."""
    from executorch.exir import to_edge
    from torch.export.experimental import _export_forward_backward

    with np.load(head) as found:
        net = HeadLoss(torch.from_numpy(found["weight"]), torch.from_numpy(found["bias"]), task)
    n_labels, size = net.weight.shape
    example = (torch.zeros(int(batch), size), torch.zeros(int(batch), n_labels))
    exported = torch.export.export(net, example, strict=True)
    program = to_edge(_export_forward_backward(exported)).to_executorch()
    Path(out).write_bytes(program.buffer)


def train(model: str, data: str, rate: str, momentum: str, out: str) -> None:
    """Takes a step per batch [N, B, E], [N, B, L] with the program, and writes the losses."""
    from executorch.extension.training import (
        _load_for_executorch_for_training_from_buffer,
        get_sgd_optimizer,
    )

    content = Path(model).read_bytes()  # has to live as long as the module does
    module: Any = _load_for_executorch_for_training_from_buffer(content)
    with np.load(data) as found:
        batches = list(
            zip(torch.from_numpy(found["embedding"]), torch.from_numpy(found["target"]), strict=True)
        )
    optimizer, losses = None, []
    for batch in batches:
        losses.append(float(module.forward_backward("forward", batch)[0]))
        if optimizer is None:
            optimizer = get_sgd_optimizer(
                module.named_parameters(), float(rate), float(momentum), 0.0, 0.0, False
            )
        optimizer.step(module.named_gradients())
    np.savez(out, losses=np.array(losses))


if __name__ == "__main__":
    make(*sys.argv[2:]) if sys.argv[1] == "make" else train(*sys.argv[2:])
