"""What every package holds beside the model: front end, head, stream, manifest and report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import safetensors.numpy

from kwsctl import __version__, architecture
from kwsctl.bundle import Bundle
from kwsctl.export import c_frontend, cost, frontend, graphs, head_graphs, parity, streaming
from kwsctl.export import package as packages
from kwsctl.export.choosing import Choice
from kwsctl.export.heard import Heard
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.package import Manifest, Stream
from kwsctl.export.proving import ExportOptions, Proven, float_head
from kwsctl.export.quantization import Precision
from kwsctl.export.running import cpu_session
from kwsctl.export.target import Extras, Request, Target


def write_stream(
    bundle: Bundle,
    target: Target,
    calibration: Heard,
    choice: Choice,
    folder: Path,
    options: ExportOptions,
) -> tuple[Stream | None, Mapping[str, Any] | str]:
    """Writes the streaming form, or says why there is none.

    Args:
        bundle: the model.
        target: where it goes.
        calibration: windows that ranges are taken from.
        choice: the form of the whole window.
        folder: of the package.
        options: whether it is asked for.

    Returns:
        How it is run, None without one; and its figures, or why there is none.
    """
    if not options.stream:
        return None, "the streaming form: not asked for (stream=false)"
    if not target.STREAMS:
        return None, f"the streaming form: {target.MODEL} holds one window only"
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
    stream = Stream(packages.STREAM, packages.STREAM_START, safe.chunk_frames, safe.scores, safe.delay_frames)
    return stream, about


def write_graphs(bundle: Bundle, folder: Path) -> None:
    """Writes front end, head, and step of learning, which every package has."""
    onnx.save(frontend.frontend_graph(bundle.features), folder / packages.FRONTEND)
    (folder / packages.C_FRONTEND).write_text(c_frontend.source(bundle.features), encoding="utf-8")
    onnx.save(head_graphs.head_graph(bundle.task), folder / packages.HEAD)
    onnx.save(head_graphs.head_step_graph(bundle.task), folder / packages.HEAD_STEP)
    head = float_head(bundle)
    tensors = {"weight": np.ascontiguousarray(head.weight), "bias": np.ascontiguousarray(head.bias)}
    (folder / packages.WEIGHTS).write_bytes(safetensors.numpy.save(tensors))


def manifest_of(
    bundle: Bundle,
    target_name: str,
    target: Target,
    choice: Choice,
    extras: Extras,
    stream: Stream | None,
    named: str,
) -> Manifest:
    """Makes the manifest, all but its files.

    Args:
        bundle: the model.
        target_name: file in `export/targets/`.
        target: that file.
        choice: the form that ships.
        extras: what the target added.
        stream: how the streaming form is run.
        named: how the bundle is named.

    Returns:
        The manifest.
    """
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


def report_of(
    bundle: Bundle,
    request: Request,
    made: Proven,
    extras: Extras,
    stream: Mapping[str, Any] | str,
    calibration: Heard,
    folder: Path,
) -> dict[str, Any]:
    """Makes the report.

    Args:
        bundle: the model.
        request: what was asked of the target.
        made: the form that ships, and its figures.
        extras: what the target added.
        stream: figures of the streaming form, or why there is none.
        calibration: windows that ranges were taken from.
        folder: with the artefacts.

    Returns:
        JSON-able figures.
    """
    counted, tuned = cost.graph_cost(request.graph, made.choice.precision), made.choice.tuned
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
        "calibration": calibration.origin,
        "calibration_windows": len(request.feeds),
        "fine_tuning": None
        if tuned is None
        else {"steps": tuned.steps, "loss_first": tuned.loss_first, "loss": tuned.loss},
        "held_out": request.heard.origin,
        "stream": stream if isinstance(stream, str) else dict(stream),
        "sizes": {p.name: p.stat().st_size for p in sorted(folder.iterdir()) if p.is_file()},
        **extras.facts,
    }
