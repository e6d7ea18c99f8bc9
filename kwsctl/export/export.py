"""Takes a bundle to a device: graphs, quantization, proof, and the package that holds all of it."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import onnx
import safetensors.numpy

from kwsctl import __version__, architecture, registry
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError, ParityError
from kwsctl.export import choosing, cost, frontend, graphs, head_graphs, parity, readme, streaming
from kwsctl.export import package as packages
from kwsctl.export.chips import CHIPS, Chip
from kwsctl.export.chips import chip as chip_named
from kwsctl.export.heard import Heard, for_calibration
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.negatives import write_negatives
from kwsctl.export.package import Manifest, Package, Stream
from kwsctl.export.parity import Compared, Judge
from kwsctl.export.personal import Part, write_part
from kwsctl.export.quantization import Precision
from kwsctl.export.running import cpu_session, run_windows
from kwsctl.export.scores import Head
from kwsctl.export.target import TARGETS, Extras, Request, Target
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.progress import Progress, silent
from kwsctl.storage import write_text

CHOOSE_EVERY, LEAST_EMULATED = 4, 20


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Attributes:
        precision: of weights and activations; `auto` takes the coarsest that loses no more than allowed.
        max_loss: points of accuracy that may be lost against the float model.
        soc: chips to compile for; all of the table if empty.
        emulated: windows that each emulator runs.
        stream: whether to export the streaming form, too.
        seed: of what is drawn.
    """

    precision: Literal["auto", "w8a8", "w8a16", "mixed", "float"] = "auto"
    max_loss: float = 0.5
    soc: tuple[str, ...] = ()
    emulated: int = 100
    stream: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_loss < 0 or self.emulated < 1:
            raise InputError(
                f"max_loss = {self.max_loss:g}, emulated = {self.emulated}: one cannot be.",
                "Give a loss of 0 or more points, and one window or more.",
            )

    @property
    def chips(self) -> tuple[Chip, ...]:
        """The chips that are named."""
        return tuple(dict.fromkeys(chip_named(name) for name in self.soc))


@dataclass(frozen=True, eq=False)
class Material:
    """What a model is calibrated with and judged by.

    Attributes:
        calibration: windows that ranges are taken from.
        held_out: windows that forms are compared on.
        negatives: shipped clips of other people, for enrolment on the device; None if they do not fit.
    """

    calibration: Heard
    held_out: Heard
    negatives: StoredNegatives | None


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        package: the folder.
        target: file in `export/targets/`.
        precision: that was chosen.
        why: in words.
        verified: what was verified, in words.
        skipped: what was not, and how to get it.
        parity: figures by what ran the model.
        files: bytes per file.
        size_bytes: of the whole package.
        backend: what ran the model here.
        macs: multiply-accumulates of one window.
        activation_peak_bytes: of one window.
    """

    package: Path
    target: str
    precision: str
    why: str
    verified: str
    skipped: tuple[str, ...]
    parity: Mapping[str, Compared]
    files: Mapping[str, int]
    size_bytes: int
    backend: tuple[str, ...]
    macs: int
    activation_peak_bytes: int


@dataclass(frozen=True, eq=False)
class _Made:
    """What goes into the package."""

    choice: choosing.Choice
    parity: Mapping[str, Compared]
    proof: Mapping[str, Any]
    calibration: str = ""
    held_out: str = ""
    stream: Mapping[str, Any] = field(default_factory=dict)


def export(
    bundle: Bundle,
    target_name: str,
    material: Material,
    out: Path,
    options: ExportOptions,
    *,
    named: str,
    part: Part | None = None,
    key: Any = None,
    progress: Progress = silent,
) -> Exported:
    """Exports a bundle.

    Args:
        bundle: the model; of a person whose enrolment changed the network, the changed one.
        target_name: file in `export/targets/`.
        material: what to calibrate with and to judge by.
        out: where the package is to lie.
        options: how.
        named: how the bundle is named.
        part: what is personal, if it is exported for a person.
        key: seals what is personal.
        progress: told what is being done.

    Returns:
        What was written and how it compares with the float model.

    Raises:
        InputError: an unknown chip or precision, too few clips, or another thing in the place.
        ParityError: the model loses more than allowed, or is destroyed on the device; nothing was written.
    """
    target = cast(Target, registry.load(TARGETS, target_name))
    packages.check_free(out)
    if options.precision != "auto" and options.precision not in target.PRECISIONS:
        raise InputError(
            f"{target_name} cannot have the precision {options.precision}.",
            f"Use auto or one of {', '.join(target.PRECISIONS)}.",
        )
    calibration = for_calibration(material.calibration)
    asked = request(bundle, calibration, material.held_out, options, progress)
    made = _proven(target, asked, material.held_out, options, progress)
    with packages.whole_folder(out) as folder:
        (folder / target.MODEL).write_bytes(made.choice.content)
        extras = target.extras(asked, folder / target.MODEL, folder)
        stream, about_stream = _stream(bundle, target, calibration, made.choice, folder, options)
        skipped = list(extras.skipped) + ([about_stream] if isinstance(about_stream, str) else [])
        _write_graphs(bundle, folder)
        if not _write_negatives(bundle, material, folder, target):
            skipped.append("enrolment on the device: the stored clips have other features than this model")
        extras = dataclasses.replace(extras, skipped=tuple(skipped))
        manifest = _manifest(bundle, target_name, target, made.choice, extras, stream, named)
        report = _report(bundle, asked, made, extras, about_stream)
        write_text(folder / packages.REPORT, json.dumps(report, indent=1, sort_keys=True) + "\n")
        write_text(folder / packages.README, readme.text(manifest, report))
        if part is not None:
            write_part(Package(folder, manifest), part, key)
        manifest = packages.write_manifest(folder, manifest)
    return _exported(out, target_name, manifest, made, extras, report)


def float_head(bundle: Bundle) -> Head:
    """Gives the head of a bundle."""
    weights = bundle.weights
    weight, bias = (np.asarray(weights[f"head.{name}"].float().numpy()) for name in ("weight", "bias"))
    return Head(bundle.labels, bundle.task, weight, bias)


def request(
    bundle: Bundle,
    calibration: Heard,
    held_out: Heard,
    options: ExportOptions,
    progress: Progress = silent,
) -> Request:
    """Prepares what targets are asked.

    Args:
        bundle: the model.
        calibration: windows that ranges are taken from.
        held_out: windows to compare on.
        options: chips, and how many windows an emulator runs.
        progress: told what is being done.

    Returns:
        The safe graph, inputs of the calibration, and what answers are judged by.

    Raises:
        InputError: an unknown chip.
    """
    safe = htp_safe(graphs.window_graph(bundle))
    session = cpu_session(safe.model)
    head = float_head(bundle)
    if not head.labels:
        known = run_windows(session, calibration.features)[0]
        head = parity.words_head(known, calibration.labels)
    judge = Judge(head, bundle.thresholds, options.seed, is_encoder=not bundle.labels)
    few = held_out.take(np.arange(min(len(held_out), options.emulated)))
    return Request(
        graph=safe.model,
        rewritten=safe.batch_norms,
        feeds=list(calibration.feeds(graphs.FEATURES)),
        chips=options.chips or tuple(CHIPS.values()),
        judge=judge,
        heard=few,
        exact=judge.answers(lambda features: run_windows(session, features), few),
        progress=progress,
    )


def _proven(
    target: Target, request: Request, held_out: Heard, options: ExportOptions, progress: Progress
) -> _Made:
    """Chooses the form on some windows, and compares it on the others; raises if it loses too much."""
    rows = np.arange(len(held_out))
    some, others = held_out.take(rows[::CHOOSE_EVERY]), held_out.take(rows[rows % CHOOSE_EVERY > 0])
    is_auto = options.precision == "auto"
    asked = [p for p in target.PRECISIONS if p != "float"] if is_auto else [cast(Precision, options.precision)]
    reasons: list[str] = []
    tried: dict[str, Any] = {}
    while True:
        few = max(LEAST_EMULATED, options.emulated // 2)
        choice = choosing.choose(target, request, some, asked, options.max_loss, few)
        found, proof = _compared(target, request, others, choice, options, progress)
        reasons.append(choice.why)
        tried |= choice.tried
        faults = [fault for one in found.values() if (fault := choosing.over(one, options.max_loss))]
        asked = asked[asked.index(choice.precision) + 1 :]
        if not faults:
            break
        reasons.append(f"but {choice.precision} {faults[0]} of the windows that it was not chosen on")
        if not asked:
            raise ParityError(
                f"The model {faults[0]} as {choice.precision}, {options.max_loss:g} points are allowed: "
                f"{'; '.join(reasons)}.",
                "Nothing was written. Allow more with --max-loss, or calibrate with clips like real use: --data.",
            )
    why = "; ".join([*([] if is_auto else ["as asked"]), *reasons])
    return _Made(dataclasses.replace(choice, why=why, tried=tried), found, proof)


def _compared(
    target: Target,
    request: Request,
    heard: Heard,
    choice: choosing.Choice,
    options: ExportOptions,
    progress: Progress,
) -> tuple[dict[str, Compared], Mapping[str, Any]]:
    """Proves and compares the chosen form on windows that it was not chosen on."""
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / target.MODEL
        model.write_bytes(choice.content)
        proof = target.verify(request, model)
        found = choosing.compared(
            target, request.judge, request.graph, heard, model, options.emulated, progress
        )
    return found, proof


def _stream(
    bundle: Bundle,
    target: Target,
    calibration: Heard,
    choice: choosing.Choice,
    folder: Path,
    options: ExportOptions,
) -> tuple[Stream | None, Mapping[str, Any] | str]:
    """Writes the streaming form, or says why there is none."""
    if not options.stream:
        return None, "the streaming form: not asked for (stream=false)"
    found = graphs.stream_graph(bundle)
    if isinstance(found, str):
        return None, f"the streaming form: {found}"
    safe = dataclasses.replace(found, model=htp_safe(found.model).model)
    feeds = streaming.calibration_feeds(safe, calibration.features)
    # Wide activations: what a state loses in one step, all later steps inherit.
    precision: Precision = "float" if choice.precision == "float" else "w8a16"
    (folder / packages.STREAM).write_bytes(target.convert(safe.model, feeds, precision, ()))
    streaming.save_start(safe, folder / packages.STREAM_START)
    heard = np.concatenate(list(calibration.features[-8:]), axis=1)
    exact, got = (
        streaming.StreamRunner(cpu_session(model), safe.after_silence, safe.chunk_frames).run(heard)
        for model in (safe.model, folder / packages.STREAM)
    )
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(got, axis=1)
    cosine = float(((exact * got).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())
    about = {"precision": precision, "cosine_cpu": round(cosine, 6), "windows": len(got)}
    stream = Stream(
        packages.STREAM, packages.STREAM_START, safe.chunk_frames, safe.scores, safe.delay_frames
    )
    return stream, about


def _write_graphs(bundle: Bundle, folder: Path) -> None:
    onnx.save(frontend.frontend_graph(bundle.features), folder / packages.FRONTEND)
    onnx.save(head_graphs.head_graph(bundle.task), folder / packages.HEAD)
    onnx.save(head_graphs.head_step_graph(bundle.task), folder / packages.HEAD_STEP)
    head = float_head(bundle)
    tensors = {"weight": np.ascontiguousarray(head.weight), "bias": np.ascontiguousarray(head.bias)}
    (folder / packages.WEIGHTS).write_bytes(safetensors.numpy.save(tensors))


def _write_negatives(bundle: Bundle, material: Material, folder: Path, target: Target) -> bool:
    if material.negatives is None:
        return False
    run = target.runners(folder / target.MODEL)["cpu"]
    write_negatives(folder / packages.NEGATIVES, material.negatives, bundle.n_frames, run)
    return True


def _manifest(
    bundle: Bundle,
    target_name: str,
    target: Target,
    choice: choosing.Choice,
    extras: Extras,
    stream: Stream | None,
    named: str,
) -> Manifest:
    network = cast(Any, bundle.model())
    return Manifest(
        target=target_name,
        model=target.MODEL,
        precision=choice.precision,
        base_sha256=bundle.sha256,
        base=named,
        arch=bundle.arch,
        config=dict(bundle.config),
        features=bundle.features,
        labels=bundle.labels,
        task=bundle.task,
        clip_s=bundle.clip_s,
        thresholds=dict(bundle.thresholds),
        embedding_size=network.embedding_size,
        voice_size=network.speaker_size if graphs.has_voice(network) else 0,
        stream=stream,
        files={},
        verified=extras.verified,
        skipped=extras.skipped,
        lineage={k: v for k, v in bundle.lineage.items() if k in ("data", "licences", "speakers", "parent")},
        kwsctl=__version__,
    )


def _report(
    bundle: Bundle,
    request: Request,
    made: _Made,
    extras: Extras,
    stream: Mapping[str, Any] | str,
) -> dict[str, Any]:
    counted = cost.graph_cost(request.graph, made.choice.precision)
    return {
        "precision": made.choice.precision,
        "why": made.choice.why,
        "tried": made.choice.tried,
        "parity": {form: parity.facts(found) for form, found in made.parity.items()},
        "proof": made.proof,
        "verified": extras.verified,
        "skipped": list(extras.skipped),
        "rewritten_batch_norms": request.rewritten,
        "macs": architecture.count_macs(bundle.model(), bundle.n_frames),
        "weight_bytes": counted.weight_bytes,
        "activation_peak_bytes": counted.activation_peak_bytes,
        "calibration_windows": len(request.feeds),
        "held_out": request.heard.origin,
        "stream": stream if isinstance(stream, str) else dict(stream),
        **extras.facts,
    }


def _exported(
    out: Path, target_name: str, manifest: Manifest, made: _Made, extras: Extras, report: Mapping[str, Any]
) -> Exported:
    files = {name: int(known["bytes"]) for name, known in manifest.files.items()}
    return Exported(
        package=out,
        target=target_name,
        precision=made.choice.precision,
        why=made.choice.why,
        verified=extras.verified,
        skipped=extras.skipped,
        parity=made.parity,
        files=files,
        size_bytes=sum(files.values()),
        backend=tuple(made.parity),
        macs=report["macs"],
        activation_peak_bytes=report["activation_peak_bytes"],
    )
