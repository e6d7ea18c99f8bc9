"""Chooses how finely a model is quantized: the coarsest form that loses no more than allowed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kwsctl.export import parity
from kwsctl.export.finetuning import Tuned
from kwsctl.export.heard import Heard
from kwsctl.export.parity import Compared, Judge
from kwsctl.export.quantization import Precision, sensitive
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.export.target import Request, Target

TUNED: tuple[Precision, ...] = ("w8a8",)
"""Precisions that fine-tuning can help: sixteen bits lose next to nothing."""
DETECTION_POINTS = 1.0
"""Points of detection rate that may be lost at the operating point."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A model file and why it is this one.

    Attributes:
        precision: of it.
        content: bytes of the model file.
        why: in words.
        tried: figures of every form that was tried, by precision, then by what ran it.
        tuned: the network that learned with quantization in the loop, if this one did.
    """

    precision: Precision
    content: bytes = field(repr=False)
    why: str
    tried: Mapping[str, Mapping[str, Any]] = field(repr=False)
    tuned: Tuned | None = field(default=None, repr=False)


def allowed(max_loss: float, found: Compared) -> float:
    """Gives the points that a form may lose: one window always, because less cannot be counted."""
    return max_loss if found.judged_by == "cosine" else max(max_loss, 100 / found.n + 1e-9)


def over(found: Compared, max_loss: float) -> str:
    """Says in what a form loses too much; empty if in nothing."""
    if found.cost > allowed(max_loss, found):
        return f"loses {found.cost:.2f} points of {found.judged_by} on {found.form} (n = {found.n})"
    most = allowed(max(max_loss, DETECTION_POINTS), found)
    if found.detection_loss is not None and found.detection_loss > most:
        return f"loses {found.detection_loss:.2f} points of detection on {found.form} (n = {found.n})"
    return ""


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A form that was tried, the most accuracy that it loses, and that with what it loses of detection."""

    worst: float
    harm: float
    precision: Precision
    content: bytes
    tuned: Tuned | None


def choose(
    target: Target,
    request: Request,
    heard: Heard,
    asked: Sequence[Precision],
    max_loss: float,
    emulated: int,
    tuner: Callable[[], Tuned] | None = None,
) -> Choice:
    """Tries forms from the coarsest on.

    Args:
        target: where the model goes.
        request: the graph and its calibration.
        heard: windows to choose on, apart from those that the report is about.
        asked: precisions to try, the coarsest first.
        max_loss: points that may be lost.
        emulated: windows that an emulator runs.
        tuner: fine-tunes the network with quantization in the loop; asked where a form of eight bits loses
            too much. None leaves that out.

    Returns:
        The first that loses no more than allowed; of those that all do, the one that loses least.
    """
    tried: dict[str, dict[str, Any]] = {}
    reasons: list[str] = []
    candidates: list[_Candidate] = []
    for one in asked:
        tuned: Tuned | None = None
        while True:
            graph = request.graph if tuned is None else tuned.graph
            content = target.convert(
                graph, request.feeds, one, sensitive(graph, request.feeds) if one == "mixed" else ()
            )
            found = _figures(target, request, heard, content, emulated)
            name = one if tuned is None else f"{one} after fine-tuning"
            tried[name] = {form: parity.facts(figures) for form, figures in found.items()}
            faults = [fault for figures in found.values() if (fault := over(figures, max_loss))]
            worst = max(f.cost for f in found.values())
            harm = max(worst, *((f.detection_loss or 0.0) - DETECTION_POINTS for f in found.values()))
            candidates.append(_Candidate(worst, harm, one, content, tuned))
            if not faults:
                reasons.append(_enough(name, candidates[-1].worst, next(iter(found.values())), max_loss))
                return Choice(one, content, "; ".join(reasons), tried, tuned)
            reasons.append(f"{name} {faults[0]}")
            if tuner is None or tuned is not None or one not in TUNED:
                break
            tuned = tuner()
    best = min(candidates, key=lambda candidate: candidate.harm)
    if len(candidates) > 1:
        tuned_too = "" if best.tuned is None else " after fine-tuning"
        reasons.append(f"{best.precision}{tuned_too} loses least")
    return Choice(best.precision, best.content, "; ".join(reasons), tried, best.tuned)


def _enough(name: str, worst: float, found: Compared, max_loss: float) -> str:
    return f"{name} loses at most {worst:.2f} points of {found.judged_by}, {max_loss:g} are allowed"


def compared(
    target: Target, judge: Judge, float_graph: Any, heard: Heard, model: Path, emulated: int, progress: Any
) -> dict[str, Compared]:
    """Compares every way of running a model file with the float graph.

    Args:
        target: whose file it is.
        judge: head and thresholds.
        float_graph: the graph that was quantized.
        heard: windows.
        model: the file.
        emulated: windows that an emulator runs, the first ones.
        progress: told how far each is.

    Returns:
        Figures by what ran it.
    """
    session = cpu_session(float_graph)
    exact = judge.answers(lambda features: run_windows(session, features), heard)
    runners = target.runners(model)
    on_cpu = judge.answers(runners["cpu"], heard, progress)
    found = {"cpu": parity.compare("cpu", judge, heard, exact, on_cpu, on_cpu)}
    few = heard.take(np.arange(min(emulated, len(heard))))
    for form, run in runners.items():
        if form != "cpu":
            known = (exact.first(len(few)), judge.answers(run, few, progress), on_cpu.first(len(few)))
            found[form] = parity.compare(form, judge, few, *known)
    return found


def _figures(
    target: Target, request: Request, heard: Heard, content: bytes, emulated: int
) -> dict[str, Compared]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / target.MODEL
        path.write_bytes(content)
        return compared(target, request.judge, request.graph, heard, path, emulated, request.progress)
