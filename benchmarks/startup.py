"""What it costs to start `kwsctl`: CPU time of `kwsctl --help`, and whether torch is imported for it.

    python benchmarks/startup.py

CPU time (user and system) is that of the child process; a busy machine raises it by little, unlike wall time.
The first run is not counted: it may compile modules.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

RUNS = 10
BUDGET_S = 0.5
HEAVY = ("torch", "torchaudio", "scipy", "sklearn", "matplotlib")
COMMAND = (sys.executable, "-m", "kwsctl", "--help")
BARE = (sys.executable, "-c", "pass")


def cpu_s(command: tuple[str, ...]) -> float:
    """Runs a command and gives its CPU time in s."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def imported() -> list[tuple[int, str]]:
    """Lists the modules that `kwsctl --help` imports, with the time of each by itself in microseconds."""
    timed = (COMMAND[0], "-X", "importtime", *COMMAND[1:])
    lines = subprocess.run(timed, check=True, capture_output=True, text=True).stderr.splitlines()
    rows = [line.removeprefix("import time:").split("|") for line in lines if "|" in line]
    return [(int(own), name.strip()) for own, _, name in rows if own.strip().isdigit()]


def main() -> None:
    """Prints the figures; exits with 1 where they are not met."""
    cpu_s(COMMAND)
    runs = sorted(cpu_s(COMMAND) for _ in range(RUNS))
    bare = statistics.median(cpu_s(BARE) for _ in range(RUNS))
    modules = imported()
    heavy = sorted({name.partition(".")[0] for _, name in modules} & set(HEAVY))
    median = statistics.median(runs)
    print(f"kwsctl --help: {median:.2f} s of CPU time, median of {RUNS} ({runs[0]:.2f} to {runs[-1]:.2f})")
    print(f"Python itself: {bare:.2f} s. {len(modules)} modules, heavy: {', '.join(heavy) or 'none'}")
    for own, name in sorted(modules, reverse=True)[:5]:
        print(f"  {own / 1000:5.1f} ms {name}")
    if heavy or median >= BUDGET_S:
        sys.exit(f"Not met: less than {BUDGET_S} s, and none of {', '.join(HEAVY)}.")


if __name__ == "__main__":
    main()
