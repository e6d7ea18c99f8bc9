"""Whether clients should learn at once by `torch.func.vmap`, on a CPU or a GPU: heads, and whole networks.

python benchmarks/federated_device.py --data MANIFEST [--device cuda]

Every speaker of the split `train` is a client; crowds are made of them by turns. Each client takes the same
few steps of gradient descent on clips of its own, one client after the other and all at once, in turns in one
run; both must end with the same weights. On a GPU, one core of its CPU does the same work one by one in the
same turns. Seconds are by the clock, after all work of the device is done.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
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
from kwsctl.threads import one_thread

STEPS, BATCH, RATE, REPEATS = 4, 10, 0.1, 5
CROWDS, WHOLE = (18, 100, 1000), (18, 100)
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


def timed(way: Way, network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Gives seconds by the clock."""
    began = time.perf_counter()
    way(network, inputs, labels)
    if inputs.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def compare(name: str, network: nn.Module, inputs: Tensor, labels: Tensor, device: str) -> None:
    """Prints how many times sooner all at once are done than one by one, and than one by one on a CPU."""
    there = (network.to(device), inputs.to(device), labels.to(device))
    apart = disagreement(there[0], there[1][:18], there[2][:18])
    lanes = {device: (one_by_one, there), "at once": (at_once, there)}
    if device != "cpu":
        lanes["one core"] = (one_by_one, (copy.deepcopy(network).cpu(), inputs, labels))
    turns = [{lane: timed(way, *given) for lane, (way, given) in lanes.items()} for _ in range(REPEATS + 1)]
    for slow in sorted(set(lanes) - {"at once"}):
        ratios = [turn[slow] / turn["at once"] for turn in turns[1:]]  # the first pays for setting up
        print(
            f"{name}, {len(inputs)} clients: at once on {device} {statistics.median(ratios):.2f} times "
            f"({min(ratios):.2f} to {max(ratios):.2f}) sooner than one by one on {slow}, "
            f"{turns[-1]['at once']:.4f} and {turns[-1][slow]:.4f} s, in double within {apart:.0e}",
            flush=True,
        )


def disagreement(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Gives how far the weights of both ways are apart at most, in double precision.

    In single precision a sum in another order turns a ReLU on or off here and there, and clients drift apart.
    """
    exact = copy.deepcopy(network).double()
    alone, together = (way(exact, inputs.double(), labels) for way in (one_by_one, at_once))
    apart = max(float((alone[name] - together[name]).detach().abs().max()) for name in alone)
    assert apart < 1e-9, f"the weights differ by {apart}"
    return apart


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
    head = nn.Linear(embeddings.shape[1], len(base.labels))
    for count in counts:
        rows = clips_of(corpus, count)
        compare("heads", head, embeddings[rows], corpus.train.target[rows], device)


def networks(data: Path, home: Path, device: str, counts: Sequence[int]) -> None:
    """Compares both ways for whole networks from nothing."""
    base, corpus = start.prepare(prepared(data, home, silent), FederateOptions(part="full"), None, 0)
    network = base.model().eval()
    for count in counts:
        rows = clips_of(corpus, count)
        features = corpus.features(corpus.train, rows.flatten())
        inputs = features.view(*rows.shape, *features.shape[1:])
        compare("whole networks", network, inputs, corpus.train.target[rows], device)


def main() -> None:
    """Prints one line for each part and number of clients."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    if given.device != "cpu":
        print(torch.cuda.get_device_name(given.device), flush=True)
    with tempfile.TemporaryDirectory() as home, one_thread():
        heads(given.data, Path(home), given.device, CROWDS)
        networks(given.data, Path(home), given.device, WHOLE)


if __name__ == "__main__":
    main()
