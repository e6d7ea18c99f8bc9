"""Takes a bundle to a device: graphs, quantization, proof, and the package that holds all of it."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from kwsctl import registry
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.export import package as packages
from kwsctl.export import readme
from kwsctl.export import trainable as trainable_head
from kwsctl.export.contents import manifest_of, report_of, write_graphs, write_stream
from kwsctl.export.finetuning import Tuned, finetuned
from kwsctl.export.heard import Heard, for_calibration
from kwsctl.export.hub import Profiled
from kwsctl.export.negatives import write_negatives
from kwsctl.export.package import Manifest, Package
from kwsctl.export.parity import Compared
from kwsctl.export.personal import Part, keep_people, write_part
from kwsctl.export.proving import ExportOptions, Proven, float_head, proven, request
from kwsctl.export.target import TARGETS, Extras, Target
from kwsctl.export.trainable import write_trainable
from kwsctl.learning.stored_negatives import StoredNegatives
from kwsctl.progress import Progress, silent
from kwsctl.storage import write_text


@dataclass(frozen=True, eq=False)
class Material:
    """What a model is calibrated with and judged by.

    Attributes:
        calibration: windows that ranges are taken from, the first 300 of them; fine-tuning learns from all.
        held_out: windows that forms are compared on.
        negatives: shipped clips of other people, for enrolment on the device; None if they do not fit.
        enrolled: windows of the person's own enrolled clips, which ranges are taken from, too.
    """

    calibration: Heard
    held_out: Heard
    negatives: StoredNegatives | None
    enrolled: Heard | None = None


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
        on_device: what a device in Qualcomm's farm measured; None where it was not asked.
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
    on_device: Profiled | None = None


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
    calibration = for_calibration(material.calibration, material.enrolled)
    asked = request(bundle, calibration, material.held_out, options, progress)
    tuner = _tuner(bundle, material, options, progress) if options.qat else None
    made = proven(target, asked, material.held_out, options, progress, tuner)
    shipped = bundle if made.choice.tuned is None else made.choice.tuned.bundle
    with packages.whole_folder(out) as folder:
        (folder / target.MODEL).write_bytes(made.choice.content)
        extras = target.extras(asked, folder / target.MODEL, folder)
        stream, about_stream = write_stream(shipped, target, calibration, made.choice, folder, options)
        skipped = list(extras.skipped) + ([about_stream] if isinstance(about_stream, str) else [])
        write_graphs(bundle, folder)
        if not _write_negatives(bundle, material, folder, target):
            skipped.append("enrolment on the device: the stored clips have other features than this model")
        trainable = None
        if options.trainable == "executorch":
            head = float_head(bundle) if part is None else part.head
            trainable = write_trainable(
                head, asked.exact.outputs[0], folder / trainable_head.FILE, options.seed
            )
        extras = dataclasses.replace(
            extras, skipped=tuple(skipped), facts={**extras.facts, "trainable": trainable}
        )
        manifest = manifest_of(bundle, target_name, target, made.choice, extras, stream, named)
        report = report_of(bundle, asked, made, extras, about_stream, calibration, folder)
        write_text(folder / packages.REPORT, json.dumps(report, indent=1, sort_keys=True) + "\n")
        write_text(folder / packages.README, readme.text(manifest, report))
        keep_people(out, folder, bundle.sha256)
        if part is not None:
            write_part(Package(folder, manifest), part, key)
        manifest = packages.write_manifest(folder, manifest)
    return _exported(out, target_name, manifest, made, extras, report)


def _tuner(
    bundle: Bundle, material: Material, options: ExportOptions, progress: Progress
) -> Callable[[], Tuned]:
    """Fine-tunes on the windows to learn from; once, whoever asks."""
    return functools.cache(
        lambda: finetuned(
            bundle,
            material.calibration,
            steps=options.qat_steps,
            rate=options.qat_rate,
            seed=options.seed,
            progress=progress,
        )
    )


def _write_negatives(bundle: Bundle, material: Material, folder: Path, target: Target) -> bool:
    if material.negatives is None:
        return False
    run = target.runners(folder / target.MODEL)["cpu"]
    write_negatives(folder / packages.NEGATIVES, material.negatives, bundle.n_frames, run)
    return True


def _exported(
    out: Path, target_name: str, manifest: Manifest, made: Proven, extras: Extras, report: Mapping[str, Any]
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
