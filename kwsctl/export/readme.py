"""The text that lies in a package: what it is, what was verified, and how a device runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kwsctl.export.package import Manifest

ROLES = {
    "frontend.onnx": "audio to features, float: never quantize it",
    "head.onnx": "embedding to scores",
    "head_step.onnx": "one step of learning of the head, an ordinary graph for a stock ONNX Runtime",
    "head.safetensors": "the numbers of the head",
    "negatives.safetensors": "embeddings of other people's words, to enrol against",
    "stream.qdq.onnx": "features to embedding a few frames at a time; the state goes in and comes out",
    "stream_start.safetensors": "the state before the first frames",
    "model.dlc": "the same graph for Qualcomm's own tools",
    "qnn_op_trace.json": "which operator became which of Qualcomm's",
    "export_report.json": "all figures",
    "session_options.json": "how a session is opened on each chip",
    "run_on_device.sh": "pushes the package with adb and times it (not run by us)",
    "head_train.pte": "training program of the head for ExecuTorch (experimental)",
    "frontend.c": "the front end in C99 without dependencies, for a DSP",
}


def text(manifest: Manifest, report: Mapping[str, Any]) -> str:
    """Writes the README of a package.

    Args:
        manifest: of the package.
        report: what was measured.

    Returns:
        Markdown.
    """
    spec = manifest.features
    parts = [
        f"# Keyword spotting for {manifest.target}",
        "",
        f"{_hears(manifest)} {manifest.clip_s:g} s at a time, {spec.sample_rate_hz} Hz, "
        f"`{manifest.arch}`, {manifest.precision} ({report['why']}).",
        "",
        f"**{_capital(manifest.verified)}.**",
        "",
        *(f"- Skipped: {one}" for one in manifest.skipped),
        *_table(report),
        "",
        "## Files",
        "",
        f"- `{manifest.model}`: features [1, {spec.mel_bins}, {manifest.n_frames}] to embedding "
        f"[1, {manifest.embedding_size}]"
        + (f" and voice [1, {manifest.voice_size}]" if manifest.voice_size else ""),
        *(f"- `{name}`: {role}" for name, role in ROLES.items() if _is_there(name, manifest, report)),
        "- `personal/NAME.person`: what one person added: head, thresholds, voice; sealed where a passphrase "
        "is set",
        "- `manifest.json`: labels, thresholds, features, and the sha256 of every file",
        "",
        "## Running it",
        "",
        f"1. `frontend.onnx` on the CPU: float samples [1, S] in [-1, 1] to log-mel features; "
        f"{manifest.n_frames} frames are one window.",
        f"2. `{manifest.model}` {_where(manifest)}: features to the embedding.",
        "3. `head.onnx` on the CPU with `head.safetensors`, or with a person's rows: scores per label.",
        "4. A score counts from its threshold on; average three scores, 0.1 s apart, and stay silent for 2 s "
        "after a detection.",
        "",
        *_stream(manifest),
        "`kwsctl evaluate --model FOLDER --data MANIFEST` measures the package; `kwsctl enroll --model "
        "FOLDER CLIPS --user NAME --keyword WORD` enrols on it, without torch.",
        "",
    ]
    return "\n".join(parts)


def _hears(manifest: Manifest) -> str:
    words = [label for label in manifest.labels if not label.startswith("_")]
    if not words:
        return "An encoder for words that people enrol; it hears"
    more = f" and {len(words) - 6} more" if len(words) > 6 else ""
    return f"Hears {', '.join(words[:6])}{more};"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _table(report: Mapping[str, Any]) -> list[str]:
    rows = ["", "| Run by | n | Accuracy, float | Accuracy | Agreement with float | Mean absolute error |"]
    rows.append("|---|---|---|---|---|---|")
    for form, found in report["parity"].items():
        shares = [
            "-" if found[name] is None else f"{found[name]:.2%}" for name in ("float_accuracy", "accuracy")
        ]
        error = f"{found['error']:.4f}"
        rows.append(f"| {form} | {found['n']} | {' | '.join(shares)} | {found['agreement']:.2%} | {error} |")
    return rows


def _is_there(name: str, manifest: Manifest, report: Mapping[str, Any]) -> bool:
    if name.startswith("stream"):
        return manifest.stream is not None
    if name in ("session_options.json", "run_on_device.sh"):
        return manifest.target == "snapdragon"
    if name == "head_train.pte":
        return bool(report.get("trainable"))
    if name in ("model.dlc", "qnn_op_trace.json"):
        return "dlc_bytes" in report
    if name == "negatives.safetensors":
        return not any("enrolment on the device" in one for one in manifest.skipped)
    return True


def _where(manifest: Manifest) -> str:
    if manifest.target != "snapdragon":
        return "with ONNX Runtime"
    return "with ONNX Runtime's QNN execution provider, or `context.PART.onnx` of the very chip"


def _stream(manifest: Manifest) -> list[str]:
    if manifest.stream is None:
        return []
    stream = manifest.stream
    return [
        f"As a stream: `{stream.file}` takes {stream.chunk_frames} frames and the states, which begin as "
        f"`{stream.start}` says, and gives {stream.scores} embedding(s) and the next states; an embedding is "
        f"{stream.delay_frames} frames late.",
        "",
    ]
