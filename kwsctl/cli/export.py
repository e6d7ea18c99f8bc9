"""`kwsctl export`: a package for a device, with the proof that it hears what the model hears."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kwsctl import records
from kwsctl.cli import completion, console, parameters
from kwsctl.cli import passphrase as secrets
from kwsctl.home import home as home_folder

MOST_TO_LEARN = 4000
"""Windows that fine-tuning learns from at most."""

if TYPE_CHECKING:
    from kwsctl.bundle import Bundle
    from kwsctl.export.export import Material
    from kwsctl.export.proving import ExportOptions


def export_command(
    target: Annotated[
        str,
        typer.Option(
            help="Where to: onnx, snapdragon, or a file in export/targets/.",
            autocompletion=completion.targets,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the package; an older package there is replaced.")],
    model: parameters.Model = None,
    user: Annotated[
        str | None, typer.Option(help="Export this person's model.", autocompletion=completion.users)
    ] = None,
    soc: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Chip to compile for, such as SM8650; repeatable.", show_default="all known"
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="auto, w8a8, w8a16 or mixed; onnx also takes float.", show_default="auto"),
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Exit with 3 if more accuracy is lost.", show_default="0.5"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Manifest to calibrate with and to compare on.", show_default="stored clips of others"
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of --data to compare on; others calibrate.")] = "test",
    qat: Annotated[
        bool | None,
        typer.Option(
            "--qat/--no-qat",
            help="Fine-tune with quantization in the loop where eight bits lose too much.",
            show_default="no",
        ),
    ] = None,
    trainable: Annotated[
        str | None,
        typer.Option(
            metavar="executorch",
            help="Write a training program of the head, too (experimental).",
            show_default="no",
        ),
    ] = None,
    profile_on_device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            help="Measure on a device of Qualcomm AI Hub, such as 'Samsung Galaxy S24'; uploads the model.",
        ),
    ] = None,
    consent_to_upload: Annotated[
        bool,
        typer.Option("--consent-to-upload", help="Agree that the model goes to Qualcomm's cloud for that."),
    ] = False,
    passphrase: secrets.Passphrase = False,
    key_file: secrets.KeyFile = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Take a model to a device: quantized, compiled per chip, and proven to hear the same.

    Example: `kwsctl export --target snapdragon --soc SM8650 --data clips/manifest.csv --out package`
    """
    from kwsctl.export.export import export
    from kwsctl.export.proving import ExportOptions
    from kwsctl.options import resolve
    from kwsctl.personal import ledger
    from kwsctl.report.export_tables import export_table

    flags = {
        "precision": precision, "max_loss": max_loss, "soc": tuple(soc) if soc else None,
        "qat": qat, "trainable": trainable, "seed": seed,
    }  # fmt: skip
    options = resolve(ExportOptions, file=config, assignments=assignments or (), flags=flags)
    _ = options.chips  # an unknown chip is told before anything is read
    if profile_on_device is not None:
        _check_profiling(target, profile_on_device, consent_to_upload)
    folder = home_folder(home)
    part = key = enrolled = None
    if user is None:
        bundle, named = _shared(model, folder)
    else:
        from kwsctl.export.heard import of_person
        from kwsctl.export.moving import exported_bundle, part_of
        from kwsctl.personal import profile as profiles
        from kwsctl.personal.enrolment import as_log

        key = secrets.resolve_key(passphrase, key_file)
        profile = profiles.load(folder, user, key)
        base, named = _base_of(profile.base, model)
        bundle, part = exported_bundle(profile, base), part_of(profile, base)
        replay = {name: as_log(clips) for name, clips in profile.replay.items()}
        enrolled = of_person(user, replay, bundle.n_frames)
    console.note(f"Model: {named}")
    material = dataclasses.replace(_material(bundle, data, split, folder, options), enrolled=enrolled)
    with console.progress_bar("Exporting") as progress:
        found = export(
            bundle, target, material, out, options, named=named, part=part, key=key, progress=progress
        )
    if profile_on_device is not None:
        from kwsctl.export import hub

        profiled = hub.of_package(found.package, material.held_out.features, profile_on_device)
        found = dataclasses.replace(found, on_device=profiled)
    if user is None:
        records.keep(folder, "export", found)
    else:
        ledger.append(folder, user, "export", records.plain(found), key)
    console.show(found, as_json=json, render=export_table)
    for one in found.skipped:
        console.warn(f"Skipped: {one}")


def _check_profiling(target: str, device: str, consent: bool) -> None:
    """Refuses before anything is exported."""
    from kwsctl.errors import InputError
    from kwsctl.export import hub

    if target != "snapdragon":
        raise InputError(
            f"--profile-on-device is for Snapdragons, not for {target}.", "Use --target snapdragon."
        )
    hub.check(device, consent=consent)


def _shared(model: Path | None, home: Path) -> tuple[Bundle, str]:
    """Loads a bundle and how a profile would name it."""
    from kwsctl import bundle

    if model is not None:
        return bundle.load(model), str(model.resolve())
    found, origin = parameters.resolve_model(None, home)
    return found, origin.split(" (")[0]


def _base_of(name: str, model: Path | None) -> tuple[Bundle, str]:
    from kwsctl import bundle

    return (
        (parameters.base_named(name), name) if model is None else (bundle.load(model), str(model.resolve()))
    )


def _material(bundle: Bundle, data: Path | None, split: str, home: Path, options: ExportOptions) -> Material:
    """Gathers what to calibrate with and to compare on."""
    from kwsctl.errors import InputError
    from kwsctl.export import heard
    from kwsctl.export.export import Material
    from kwsctl.learning import stored_negatives
    from kwsctl.seeding import numpy_generator

    negatives: Any = stored_negatives.load(parameters.shipped(parameters.NEGATIVES))
    if negatives.spec != bundle.features:
        if data is None:
            heard.from_negatives(bundle, negatives)  # says what is wrong, and what to do
        negatives = None
    if data is None:
        console.note("No --data: the shipped clips of other people calibrate, and half of them compare.")
        return Material(*heard.from_negatives(bundle, negatives), negatives)

    from kwsctl.data.prepare import prepared

    with console.progress_bar("Preparing") as progress:
        store = prepared(data, home, progress, rate_hz=bundle.features.sample_rate_hz)
    draw = numpy_generator(options.seed, "export")
    held_out = heard.from_store(bundle, store, split, draw)
    others = [s for s in ("train", "val", "test") if s != split and len(store.where(split=s))]
    if not others:
        raise InputError(
            f"The data has only the split {split!r}: nothing is left to calibrate with.",
            "Give a manifest with another split, too, or leave --data out.",
        )
    most = MOST_TO_LEARN if options.qat else heard.MOST_CALIBRATION
    heard_there = heard.from_store(bundle, store, others[0], draw, most=most)
    return Material(heard_there, held_out, negatives)
