"""What quantizing and the HTP cost: every model, precision and generation of the HTP beside the float model.

The windows that ranges are taken from, and those that are compared on, are of different people. What runs
without the extra `snapdragon` is the CPU's part of it.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kwsctl.bench.new_words import NewWords, new_words
from kwsctl.bench.people import People
from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.export import choosing, heard, htp, packaged
from kwsctl.export.chips import CHIPS, of_arch
from kwsctl.export.export import Material, export
from kwsctl.export.parity import Compared
from kwsctl.export.proving import ExportOptions, request
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.export.target import Request
from kwsctl.export.targets import snapdragon
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.progress import Progress, silent
from kwsctl.seeding import numpy_generator

TIMED_WINDOWS, TIMED_ROUNDS = 100, 5


@dataclass(frozen=True)
class ExportBenchOptions:
    """What is compared.

    Attributes:
        split: of the data, to compare on; `train` calibrates.
        precisions: of weights and activations.
        emulated: windows that each emulator runs.
        compile: whether to compile for every chip of the table, and to run what comes out.
        max_loss: points of accuracy that `auto` allows.
        seed: of the order of clips.
    """

    split: str = "test"
    precisions: tuple[str, ...] = ("w8a8", "w8a16")
    emulated: int = 200
    compile: bool = True
    max_loss: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class ExportRow:
    """One model in one precision.

    Attributes:
        arch: architecture.
        precision: of weights and activations.
        chosen: whether `auto` takes this one.
        forms: figures by what ran it.
        qdq_bytes: of the QDQ graph.
        dlc_bytes: of the container for Qualcomm's tools; None without the extra.
        context_bytes: of the context binary, by chip; empty without the extra.
        placed: nodes by execution provider; empty without the extra.
        time_ratio: CPU seconds of the quantized graph over those of the float one, in this run.
    """

    arch: str
    precision: str
    chosen: bool
    forms: Mapping[str, Compared]
    qdq_bytes: int
    dlc_bytes: int | None
    context_bytes: Mapping[str, int]
    placed: Mapping[str, int]
    time_ratio: float


@dataclass(frozen=True)
class ExportBench:
    """What the bench prints.

    Attributes:
        rows: models and precisions.
        enrolment: new words enrolled on the float encoder and on quantized ones, by precision; empty if not
            asked for.
        skipped: what could not be run here, and how to get it.
    """

    rows: tuple[ExportRow, ...]
    enrolment: Mapping[str, NewWords]
    skipped: str


def export_bench(
    bundles: Sequence[Bundle], store: ClipStore, options: ExportBenchOptions, progress: Progress = silent
) -> tuple[ExportRow, ...]:
    """Compares models.

    Args:
        bundles: the models.
        store: labelled clips.
        options: what is compared.
        progress: counts models and precisions.

    Returns:
        One row per model and precision.

    Raises:
        InputError: too few clips.
    """
    rows = []
    for number, bundle in enumerate(bundles):
        draw = numpy_generator(options.seed, "export")
        held_out = heard.from_store(bundle, store, options.split, draw)
        calibration = heard.from_store(bundle, store, "train", draw, most=heard.MOST_CALIBRATION)
        asked = request(bundle, calibration, held_out, ExportOptions(emulated=options.emulated))
        found: list[ExportRow] = []
        for precision in options.precisions:
            free = not any(row.chosen for row in found)
            found.append(_row(bundle, asked, held_out, precision, options, free))
            progress(number * len(options.precisions) + len(found), len(bundles) * len(options.precisions))
        rows += found
    return tuple(rows)


def quantized_enrolment(
    people: People,
    negatives: StoredNegatives,
    *,
    words: Sequence[str],
    shots: int,
    precisions: Sequence[str],
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, NewWords]:
    """Enrols new words on the float encoder and on quantized ones.

    Args:
        people: whom the encoder has never heard.
        negatives: stored ones, of other people.
        words: which it has never heard either.
        shots: clips to enrol.
        precisions: of the quantized encoders.
        seed: of the order of clips.
        progress: counts enrolments.

    Returns:
        Figures by precision; those of the float encoder as `float`.
    """
    found = {}
    calibration, held_out = heard.from_negatives(people.base, negatives)
    for precision in ("float", *precisions):
        with tempfile.TemporaryDirectory() as folder:
            if precision == "float":
                heard_by = people
            else:
                options = ExportOptions(precision=precision, max_loss=100.0, stream=False)  # type: ignore[arg-type]
                material = Material(calibration, held_out, None)
                made = export(
                    people.base, "onnx", material, Path(folder) / "package", options, named="encoder"
                )
                heard_by = dataclasses.replace(people, base=packaged.load(made.package))
            found[precision] = new_words(
                heard_by, negatives, words=words, shots=shots, seed=seed, progress=progress
            )
    return found


def _row(
    bundle: Bundle,
    request: Request,
    held_out: heard.Heard,
    precision: str,
    options: ExportBenchOptions,
    free: bool,
) -> ExportRow:
    one: Any = precision
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / snapdragon.MODEL
        model.write_bytes(snapdragon.convert(request.graph, request.feeds, one, ()))
        forms = choosing.compared(
            snapdragon,
            request.judge, request.graph, held_out, model, options.emulated, silent,
        )  # fmt: skip
        faults = [fault for form in forms.values() if (fault := choosing.over(form, options.max_loss))]
        contexts: dict[str, int] = {}
        placed: dict[str, int] = {}
        dlc: int | None = None
        if options.compile and not snapdragon.missing():
            for chip in CHIPS.values():
                out = Path(place) / f"{chip.part}.onnx"
                contexts[chip.part] = htp.compile_context(model, out, chip)["bytes"]
                run_windows(htp.session(out, chip), held_out.features[:1])
            htp.write_dlc(model, Path(place) / "model.dlc", of_arch(75))
            dlc = (Path(place) / "model.dlc").stat().st_size
            placed = htp.placement(htp.session(model, of_arch(75)))
        return ExportRow(
            arch=bundle.arch,
            precision=precision,
            chosen=free and not faults,
            forms=forms,
            qdq_bytes=model.stat().st_size,
            dlc_bytes=dlc,
            context_bytes=contexts,
            placed=placed,
            time_ratio=_time_ratio(request, model, held_out),
        )


def _time_ratio(request: Request, model: Path, held_out: heard.Heard) -> float:
    """CPU time of the quantized graph over the float one's, taken in turns, the median of the rounds."""
    sessions = cpu_session(request.graph), cpu_session(model)
    windows = held_out.features[:TIMED_WINDOWS]
    ratios = []
    for _ in range(TIMED_ROUNDS):
        taken = []
        for session in sessions:
            began = time.process_time()
            run_windows(session, windows)
            taken.append(time.process_time() - began)
        ratios.append(taken[1] / taken[0])
    return float(np.median(ratios))
