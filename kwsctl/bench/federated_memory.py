"""Peak memory of a federation by its number of clients: each number in a process of its own.

A process's peak never falls, so that two sizes in one process cannot be told apart.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from kwsctl import bundle
from kwsctl.bench.federated_people import Fold
from kwsctl.bench.federated_setting import Cases
from kwsctl.bench.federated_trials import Row, federated, row_of
from kwsctl.federated.corpus import Clips, Corpus
from kwsctl.learning.cost import peak_process_bytes

SHARES = (0.1, 0.3, 1.0)
ASKED = 0.1
"""Of the largest number of clients; with fewer, as many are asked."""


def memory(bench: Cases) -> list[Row]:
    """Measures a tenth, a third and all of the crowd, as many asked in each round."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for share in SHARES:
            count = round(share * bench.options.crowd)
            place = Path(folder) / f"{count}"
            place.mkdir()
            _save(bench.crowd(count), place)
            asked = {"asked": min(1.0, ASKED / share), "rounds": bench.options.rounds}
            asked |= {"seed": bench.options.seed, "target": bench.target}
            (place / "options.json").write_text(json.dumps(asked))
            command = [sys.executable, "-m", "kwsctl.bench.federated_memory", str(place)]
            subprocess.run(command, check=True)  # noqa: S603  # this very module
            found = json.loads((place / "row.json").read_text())
            rows.append(
                Row(**{**found, "accuracy": tuple(found["accuracy"]), "curve": tuple(found["curve"])})
            )
    return rows


def _save(fold: Fold, place: Path) -> None:
    sha = fold.base.sha256
    fold.base.save(place / "base.safetensors")
    tensors = {
        "train": fold.corpus.known[sha, "train", False],
        "held_out": fold.corpus.known[sha, "held_out", False],
        "train_target": fold.corpus.train.target,
        "held_out_target": fold.corpus.held_out.target,
    }
    speakers = {
        "train": list(fold.corpus.train.speakers),
        "held_out": list(fold.corpus.held_out.speakers),
    }
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        place / "crowd.safetensors",
        {"speakers": json.dumps(speakers)},
    )


def _load(place: Path) -> Fold:
    base = bundle.load(place / "base.safetensors")
    with safe_open(place / "crowd.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        speakers = json.loads(file.metadata()["speakers"])
    nothing = torch.zeros(0)
    clips = {
        part: Clips(nothing, tensors[f"{part}_target"], speakers[part]) for part in ("train", "held_out")
    }
    known: dict[Any, Any] = {(base.sha256, part, False): tensors[part] for part in clips}
    return Fold(base, Corpus(clips["train"], clips["held_out"], base.n_frames, known))


def _play(place: Path) -> None:
    how = json.loads((place / "options.json").read_text())
    torch.set_num_threads(1)
    fold = _load(place)
    count = len(set(fold.corpus.train.speakers))
    before, began = _peak_mb(), time.process_time()
    played = federated(
        [fold], how["seed"], rounds=how["rounds"], attendance={"share": how["asked"]}, evaluate_every=10
    )
    facts = {"clients": count, "peak_mb": _peak_mb(), "before_mb": before}
    facts |= {"seconds": time.process_time() - began}
    row = row_of(f"{count:,} clients, memory", played, None, how["seed"], **facts)
    (place / "row.json").write_text(json.dumps(dataclasses.asdict(row)))


def _peak_mb() -> float:
    return peak_process_bytes() / 2**20  # of this program, not of the one that began it


if __name__ == "__main__":
    _play(Path(sys.argv[1]))
