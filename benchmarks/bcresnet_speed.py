"""How fast BC-ResNet trains here, beside the network written down plainly in PyTorch.

    python benchmarks/bcresnet_speed.py [--tau 1 2 3] [--threads 2] [--rounds 12]

`Plain` is the paper's network as any reader would write it: nn.Conv2d (depthwise ones with groups),
nn.BatchNorm2d, torch functions. Both get the same weights first, and must give the same outputs to 1e-4,
and gradients that are as near to those in double precision. Then they take turns at training steps
(forward, backward, SGD with momentum) on batches of 100 clips of 98 frames; what is compared is CPU time
of the process, pair by pair.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from kwsctl import architecture

BANDS, LABELS, BATCH, FRAMES, BINS = 5, 12, 100, 98, 40


class PlainSubSpectral(nn.Module):
    """Batch normalization of five stretches of frequency apart."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels * BANDS)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, F, T] to [B, C, F, T]."""
        b, c, f, t = x.shape
        return self.norm(x.reshape(b, c * BANDS, f // BANDS, t)).reshape(b, c, f, t)


class PlainBlock(nn.Module):
    """Broadcasted residual block, equations 3 and 4 of arXiv 2106.04140."""

    def __init__(self, n_in: int, n_out: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.same = n_in == n_out
        if not self.same:
            self.widen = nn.Conv2d(n_in, n_out, 1, bias=False)
            self.widen_norm = nn.BatchNorm2d(n_out)
        self.frequency = nn.Conv2d(n_out, n_out, (3, 1), (stride, 1), (1, 0), groups=n_out, bias=False)
        self.spectral_norm = PlainSubSpectral(n_out)
        self.temporal = nn.Conv2d(
            n_out, n_out, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=n_out, bias=False
        )
        self.temporal_norm = nn.BatchNorm2d(n_out)
        self.pointwise = nn.Conv2d(n_out, n_out, 1, bias=False)
        self.dropout = nn.Dropout2d(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C', F, T] to [B, C, F', T]."""
        y = x if self.same else fn.relu(self.widen_norm(self.widen(x)))
        y = self.spectral_norm(self.frequency(y))
        pooled = y.mean(2, keepdim=True)
        out = y + self.dropout(self.pointwise(fn.silu(self.temporal_norm(self.temporal(pooled)))))
        return fn.relu(out + x if self.same else out)


class Plain(nn.Module):
    """BC-ResNet as the paper draws it."""

    def __init__(self, tau: float) -> None:
        super().__init__()
        base = int(8 * tau)
        widths = [2 * base, base, int(1.5 * base), 2 * base, int(2.5 * base)]
        self.stem = nn.Conv2d(1, widths[0], 5, (2, 1), 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        blocks = []
        for stage, n_blocks in enumerate((2, 2, 4, 4)):
            for index in range(n_blocks):
                n_in = widths[stage] if index == 0 else widths[stage + 1]
                stride = 2 if index == 0 and stage in (1, 2) else 1
                blocks.append(PlainBlock(n_in, widths[stage + 1], stride, 2**stage))
        self.blocks = nn.ModuleList(blocks)
        self.tail_depthwise = nn.Conv2d(widths[4], widths[4], 5, padding=(0, 2), groups=widths[4], bias=False)
        self.tail_pointwise = nn.Conv2d(widths[4], 4 * base, 1, bias=False)
        self.tail_norm = nn.BatchNorm2d(4 * base)
        self.head = nn.Linear(4 * base, LABELS)

    def forward(self, x: Tensor) -> Tensor:
        """Maps features [B, F, T] to logits [B, L]."""
        y = fn.relu(self.stem_norm(self.stem(x[:, None])))
        for block in self.blocks:
            y = block(y)
        y = fn.relu(self.tail_norm(self.tail_pointwise(self.tail_depthwise(y))))
        return self.head(y.mean((2, 3)))


def same_weights(tau: float) -> tuple[nn.Module, nn.Module]:
    """Gives the plain network and ours with equal weights."""
    torch.manual_seed(0)
    plain, ours = Plain(tau), architecture.build("bcresnet", {"tau": tau}, LABELS, BINS)
    found = ours.load_state_dict(plain.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert set(found.missing_keys) == {"standardize.mean", "standardize.std"}
    return plain, ours


def differences(tau: float, batches: int = 6) -> tuple[float, float, float]:
    """Compares outputs with each other, and gradients with those in double precision.

    Single precision costs this network about 0.1 % of its gradient however it is computed: what is
    near zero before a ReLU falls on either side. So the plain network's own error is the measure.

    Returns:
        Largest difference of the outputs; median relative error of the plain gradient and of ours.
    """
    output, errors = 0.0, []
    for seed in range(batches):
        plain, ours = same_weights(tau)
        exact = copy.deepcopy(plain).double()
        torch.manual_seed(seed)
        x, target = torch.randn(BATCH, BINS, FRAMES), torch.randint(LABELS, (BATCH,))
        outputs = [gradient_step(model, x, target) for model in (plain, ours)]
        gradient_step(exact, x.double(), target)
        output = max(output, float((outputs[0] - outputs[1]).abs().max()))
        wanted = gradient_of(exact)
        errors.append([float((gradient_of(m) - wanted).norm() / wanted.norm()) for m in (plain, ours)])
    return output, *(statistics.median(column) for column in zip(*errors, strict=True))


def gradient_step(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Computes gradients without dropout, and gives the outputs."""
    for module in model.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    output = model.train()(x)
    fn.cross_entropy(output, target).backward()
    return output.detach()


def gradient_of(model: nn.Module) -> Tensor:
    """Gives all gradients as one vector in double precision."""
    return torch.cat([p.grad.flatten().double() for _, p in sorted(model.named_parameters())])


def stepper(model: nn.Module) -> Callable[[], float]:
    """Gives a training step that returns its CPU time in s."""
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    x, target = torch.randn(BATCH, BINS, FRAMES), torch.randint(LABELS, (BATCH,))

    def step() -> float:
        began = time.process_time()
        loss = fn.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.process_time() - began

    return step


def main() -> None:
    """Checks that both are the same network, then times them in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tau", type=float, nargs="*", default=[1.0, 2.0, 3.0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    for tau in chosen.tau:
        output, plain_error, our_error = differences(tau)
        assert output < 1e-4, output
        assert our_error < 3 * plain_error, (our_error, plain_error)
        plain, ours = map(stepper, same_weights(tau))
        plain(), ours(), ours()
        pairs = [(plain(), ours()) for _ in range(chosen.rounds)]
        ratios = [a / b for a, b in pairs]
        row = {
            "tau": tau,
            "threads": chosen.threads,
            "pairs": len(pairs),
            "plain_cpu_s": round(statistics.median(a for a, _ in pairs), 3),
            "kwsctl_cpu_s": round(statistics.median(b for _, b in pairs), 3),
            "clips_per_cpu_s": round(BATCH / statistics.median(b for _, b in pairs)),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_min": round(min(ratios), 2),
            "ratio_max": round(max(ratios), 2),
            "output_difference": output,
            "gradient_error_plain": plain_error,
            "gradient_error_kwsctl": our_error,
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
