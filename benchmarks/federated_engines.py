"""Seconds and CPU-seconds of a round: the simulation, Flower's apps in this process, and Flower with Ray.

.venv-flower/bin/python benchmarks/federated_engines.py --data MANIFEST

All three do the same work on the same clips and weights, in turns within one live Ray simulation, so that
every pair has seen the same load; what they make of it is compared, too. Needs `make setup-flower`.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ |= {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])  # for workers

from federated_engines_work import CLIENT, FOLDER, OPTIONS, session
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation
from flwr.supercore.task_identity import TaskIdentity

from kwsctl.federated.flower.fleet import Fleet
from kwsctl.federated.flower.local_grid import LocalGrid
from kwsctl.federated.flower.plan import Plan
from kwsctl.federated.state import State, first_state
from kwsctl.federated.topologies import star


def subset(data: Path, folder: Path, clips: int) -> int:
    """Writes a manifest of the first clips of every speaker; gives how many clients there are."""
    with data.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    taken: dict[str, int] = {}
    kept = []
    for row in rows:
        if row["split"] in ("train", "val") and row["speaker"] and taken.get(row["speaker"], 0) < clips:
            taken[row["speaker"]] = taken.get(row["speaker"], 0) + 1
            kept.append(
                row | {"path": os.path.relpath((data.parent / row["path"]).resolve(), folder.resolve())}
            )
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    return len({row["speaker"] for row in kept if row["split"] == "train"})


def tree_cpu_s() -> float:
    """CPU time of this process and all below it, in s: Ray's workers are among these."""
    below: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):  # it has ended meanwhile
                continue
            below.setdefault(int(fields[1]), []).append(int(folder.name))
            used[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    total, waiting = 0.0, [os.getpid()]
    while waiting:
        process = waiting.pop()
        waiting += below.get(process, [])
        total += used.get(process, 0.0)
    return total


def compare(grid: Grid, repeats: int) -> None:
    """Plays the same round with every engine, in turns, and prints what it took."""
    every = session()
    plan = Plan(OPTIONS, 0, len(every.clients), every.base.sha256, least=len(every.clients))
    alone = dataclasses.replace(every, clients=(), expected=plan.clients)
    nodes = [{"partition-id": place} for place in range(plan.clients)]
    of_ray = (TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id)
    here = LocalGrid(CLIENT, nodes, plan.config)
    state = first_state(every)

    def within(which: Grid, identity: tuple[int, int, int]) -> State:
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = identity
        return Fleet(which, plan).advance(alone, state)[0]

    engines: dict[str, Callable[[], State]] = {
        "simulation": lambda: star.advance(every, state, star.Options())[0],
        "Flower, this process": lambda: within(here, (1, 1, 1)),
        "Flower, Ray": lambda: within(grid, of_ray),
    }
    weights = {name: play().weights for name, play in engines.items()}  # the first round starts Ray's actors
    apart = max(float((found - weights["simulation"]).abs().max()) for found in weights.values())
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for repeat in range(repeats):
        for name in list(engines)[:: 1 if repeat % 2 == 0 else -1]:
            wall, cpu = time.perf_counter(), tree_cpu_s()
            engines[name]()
            taken[name].append((time.perf_counter() - wall, tree_cpu_s() - cpu))
        print(f"# {repeat + 1} of {repeats}, load {os.getloadavg()[0]:.1f}", flush=True)
    clips = sum(len(client.rows) for client in every.clients)
    print(f"{plan.clients} clients, {clips} clips, {every.layout.size:,} weights, {repeats} repeats")
    print(f"largest difference of a weight between engines: {apart:.1e}")
    print("| Engine | s a round | CPU-s a round | CPU beside the simulation (range) | by the clock (range) |")
    print("|---|---|---|---|---|")
    for name, rows in taken.items():
        seconds = [statistics.median(row[k] for row in rows) for k in (0, 1)]
        pairs = list(zip(taken["simulation"], rows, strict=True))
        ratios = [sorted(b[k] / a[k] for a, b in pairs) for k in (1, 0)]
        told = [f"{statistics.median(r):.2f} ({r[0]:.2f} to {r[-1]:.2f})" for r in ratios]
        print(f"| {name} | {seconds[0]:.2f} | {seconds[1]:.2f} | {told[0]} | {told[1]} |")


def main() -> None:
    """Compares the engines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=40, help="of each speaker")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="of Ray")
    arguments = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER] = folder
        count = subset(arguments.data, Path(folder), arguments.clips)
        session()  # decodes all clips, which the actors then find prepared
        server = ServerApp()
        server.main()(lambda grid, context: compare(grid, arguments.repeats))
        run_simulation(
            server,
            CLIENT,
            num_supernodes=count,
            backend_config={
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
                "init_args": {
                    "num_cpus": arguments.workers,
                    "num_gpus": 0,
                    "include_dashboard": False,
                    "_node_ip_address": "127.0.0.1",
                    "object_store_memory": 200 * 1024 * 1024,
                },
            },
        )


if __name__ == "__main__":
    main()
