"""Whether clients should learn at once by `torch.func.vmap`, on a CPU or a GPU: heads, and whole networks.

python benchmarks/federated_device.py --data MANIFEST [--device cuda]

Every speaker of the split `train` is a client; crowds are made of them by turns. Each client takes the same
few steps of gradient descent on clips of its own, one client after the other and all at once, in turns in one
run; both must end with the same weights. Seconds are by the clock, after all work of the device is done.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as fn

from kwsctl import bundle
from kwsctl.cli.parameters import ENCODER, shipped
from kwsctl.data.prepare import prepared
from kwsctl.federated import start
from kwsctl.federated.corpus import Corpus
from kwsctl.federated.options import FederateOptions
from kwsctl.learning.adapters._enrolment import embed
from kwsctl.progress import silent

STEPS, BATCH, RATE, REPEATS = 4, 10, 0.1, 5
Weights = dict[str, Tensor]
Way = Callable[[nn.Module, Tensor, Tensor], Weights]


def one_by_one(network: nn.Module, inputs: Tensor, labels: Tensor) -> Weights:
    """Lets clients learn in turns.

    Args:
        network: where all begin.
        inputs: [K, STEPS, BATCH, ...] of K clients.
        labels: [K, STEPS, BATCH].

    Returns:
        Weights by name, [K, ...].
    """
    ended = []
    for client in range(len(inputs)):
        own = copy.deepcopy(network)
        for step in range(STEPS):
            loss = fn.cross_entropy(own(inputs[client, step]), labels[client, step])
            own.zero_grad()
            loss.backward()
            with torch.no_grad():
                for weight in own.parameters():
                    if weight.grad is not None:
                        weight -= RATE * weight.grad
        ended.append(own)
    return stack_module_state(ended)[0]


def at_once(network: nn.Module, inputs: Tensor, labels: Tensor) -> Weights:
    """Lets all clients take each step together; see `one_by_one`."""
    begun = {name: weight.detach() for name, weight in network.named_parameters()}
    weights = {name: weight.expand(len(inputs), *weight.shape) for name, weight in begun.items()}
    buffers = dict(network.named_buffers())

    def loss(own: Weights, x: Tensor, y: Tensor) -> Tensor:
        return fn.cross_entropy(functional_call(network, {**own, **buffers}, (x,)), y)

    gradients = vmap(grad(loss))
    for step in range(STEPS):
        change = gradients(weights, inputs[:, step], labels[:, step])
        weights = {name: weight - RATE * change[name] for name, weight in weights.items()}
    return weights


def timed(way: Way, network: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Weights, float]:
    """Gives the weights, and seconds by the clock."""
    began = time.perf_counter()
    found = way(network, inputs, labels)
    if inputs.is_cuda:
        torch.cuda.synchronize()
    return found, time.perf_counter() - began


def compare(name: str, network: nn.Module, inputs: Tensor, labels: Tensor) -> None:
    """Prints how many times sooner all at once are done than one by one."""
    pairs = []
    for _ in range(REPEATS + 1):
        alone, slow = timed(one_by_one, network, inputs, labels)
        together, fast = timed(at_once, network, inputs, labels)
        pairs.append((slow, fast))
    ratios = [slow / fast for slow, fast in pairs[1:]]  # the first pays for setting up
    begun = dict(network.named_parameters())
    apart = _farthest(alone, together)
    assert apart < 1e-2 * _farthest(alone, begun), f"the weights differ by {apart}"
    print(
        f"{inputs.device.type}, {name}, {len(inputs)} clients: at once {statistics.median(ratios):.2f} times "
        f"sooner ({min(ratios):.2f} to {max(ratios):.2f}), {pairs[-1][0]:.3f} and {pairs[-1][1]:.3f} s, "
        f"weights within {apart:.0e}",
        flush=True,
    )


def _farthest(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return max(float((one[name] - other[name]).detach().abs().max()) for name in one)


def clips_of(corpus: Corpus, count: int) -> Tensor:
    """Gives [K, STEPS, BATCH] rows of clients, who are real speakers by turns."""
    speakers = sorted(set(corpus.train.speakers))
    draw = torch.Generator().manual_seed(0)
    rows = []
    for client in range(count):
        own = torch.tensor(
            [i for i, one in enumerate(corpus.train.speakers) if one == speakers[client % len(speakers)]]
        )
        rows.append(own[torch.randint(len(own), (STEPS * BATCH,), generator=draw)].view(STEPS, BATCH))
    return torch.stack(rows)


def heads(data: Path, home: Path, device: str, counts: Sequence[int]) -> None:
    """Compares both ways for heads on the embeddings of the shipped encoder."""
    options = FederateOptions(part="head")
    base, corpus = start.prepare(prepared(data, home, silent), options, bundle.load(shipped(ENCODER)), 0)
    network = base.model()
    with torch.no_grad():
        embeddings = embed(network, corpus.features(corpus.train, torch.arange(len(corpus.train))))
    head = nn.Linear(embeddings.shape[1], len(base.labels)).to(device)
    for count in counts:
        rows = clips_of(corpus, count)
        compare("heads", head, embeddings[rows].to(device), corpus.train.target[rows].to(device))


def networks(data: Path, home: Path, device: str, counts: Sequence[int]) -> None:
    """Compares both ways for whole networks from nothing."""
    base, corpus = start.prepare(prepared(data, home, silent), FederateOptions(part="full"), None, 0)
    network = base.model().eval().to(device)
    for count in counts:
        rows = clips_of(corpus, count)
        features = corpus.features(corpus.train, rows.flatten())
        inputs = features.view(*rows.shape, *features.shape[1:]).to(device)
        compare("whole networks", network, inputs, corpus.train.target[rows].to(device))


def main() -> None:
    """Prints one line for each part and number of clients."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        heads(given.data, Path(home), given.device, (18, 100, 1000))
        networks(given.data, Path(home), given.device, (18, 100))


if __name__ == "__main__":
    main()
