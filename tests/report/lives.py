"""A home in which everything has happened once, in small: what a page can show."""

from __future__ import annotations

import json
from pathlib import Path

from kwsctl import architecture, home, records
from kwsctl.bundle import Bundle
from kwsctl.evaluation.curve import to_facts
from kwsctl.personal import ledger, profile
from kwsctl.personal.encryption import Key
from kwsctl.types import FeatureSpec
from tests.personal import people
from tests.report.comparisons import found as compared
from tests.report.evaluations import evaluation


def model() -> Bundle:
    network = architecture.build("tcresnet", {}, 2, 40)
    lineage = {
        "data": ["my words", "noise"],
        "licences": {"my words": "CC BY 4.0"},
        "seed": 0,
        "kwsctl": "0.1.0",
    }
    weights = network.state_dict()
    return Bundle("tcresnet", {}, FeatureSpec(), ("yes", "no"), "keywords", 1.0, weights, {}, lineage)


def lived(folder: Path, key: Key | None = None) -> Path:
    """Fills a home."""
    found = evaluation()
    facts = {**found.facts(), "curve": to_facts(found.tradeoff)}
    records.keep(folder, "evaluate", facts)
    made = model()
    path = folder / "models" / "words.safetensors"
    sha256 = made.save(path)
    home.set_current_bundle(folder, path)
    records.keep(folder, "train", {"bundle": str(path), "sha256": sha256, "params": 64_641, "clip_s": 1.0,
                 "macs_per_clip": 2_000_000, "train_s": 3.0, "epochs": 2, "best_epoch": 1})  # fmt: skip
    records.keep(folder, "few-shot", compared())
    profile.save(folder, people.enrolled(), key)
    ledger.extend(folder, "anna", [*_heard(), ("evaluate", records.plain({**facts, **_before_after()}))], key)
    _rounds(folder / "models" / "federated.log.jsonl")
    _package(folder / "package", made)
    return folder


def _heard() -> list[tuple[str, dict[str, object]]]:
    """Five segments, the first judged twice, an update that is taken, and one that is rolled back."""
    early = {"stream": "abc", "time_s": 0.0, "decision": "abstain", "kept": False}
    lines: list[tuple[str, dict[str, object]]] = [("segment", early)]
    for number, decision in enumerate(("positive", "negative", "abstain", "positive", "negative")):
        kept = decision != "abstain"
        segment = {"stream": "abc", "time_s": 30.0 * number, "decision": decision, "kept": kept}
        lines.append(("segment", segment))
    for decision in ("taken", "rolled back"):
        figures = {"expected": 0.7, "false_alarms": 0.01}
        canary = {"before": figures, "after": {**figures, "expected": 0.9 if decision == "taken" else 0.4}}
        update = {"stream": "abc", "decision": decision, "method": "head", "canary": canary}
        lines.append(("update", update | ({"reason": "calls are lost"} if decision == "rolled back" else {})))
    return lines


def _before_after() -> dict[str, object]:
    low = {"rate": 0.25, "low": 0.1, "high": 0.5, "n": 12}
    high = {**low, "rate": 0.75, "low": 0.5, "high": 0.9}
    heard = {"heard_before": low, "heard_after": high}
    return {"before_after": [{"keyword": "open sesame", **heard, "wrong_before": low, "wrong_after": low}]}


def _rounds(path: Path) -> None:
    lines = [
        {"round": n, "asked": 4, "answered": 4, "dropped": [], "refused": {}, "left_out": {},
         "figure": 0.5 + n / 20, "bytes_up": 1000, "bytes_down": 2000, "epsilon": 0.3 * n}
        for n in range(1, 6)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _package(folder: Path, made: Bundle) -> None:
    folder.mkdir()
    form = {"n": 200, "agreement": 0.99, "loss": 0.3, "loss_ci95": [0.0, 0.6], "cosine": 0.999}
    report = {"precision": "w8a8", "why": "it loses least", "verified": "on the CPU", "skipped": [],
              "macs": 5, "weight_bytes": 66_000,
              "activation_peak_bytes": 9_000, "parity": {"cpu": form}}  # fmt: skip
    manifest = {
        "base_sha256": made.sha256,
        "target": "onnx",
        "precision": "w8a8",
        "lineage": dict(made.lineage),
    }
    (folder / "export_report.json").write_text(json.dumps(report))
    (folder / "manifest.json").write_text(json.dumps(manifest))
