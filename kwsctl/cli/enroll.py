"""`kwsctl enroll`: a personal model from a few clips."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kwsctl.cli import completion, console, costs, parameters
from kwsctl.cli import passphrase as secrets
from kwsctl.cli.recording import recorded
from kwsctl.errors import InputError
from kwsctl.home import home as home_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kwsctl.bundle import Bundle
    from kwsctl.export.enrolment import PackageEnrollOptions
    from kwsctl.learning.cost import Cost
    from kwsctl.personal.encryption import Key
    from kwsctl.personal.person import Profile


@dataclass(frozen=True)
class EnrollResult:
    """What `kwsctl enroll` prints.

    Attributes:
        user: who was enrolled.
        profile: the link file that was written.
        keyword: what was enrolled.
        base: the model it was enrolled on.
        method: the adapter.
        why: why this one.
        policy: `biased` or `only`.
        clips_used: files that were learned from.
        clips_rejected: the others, with the reason.
        threshold: score from which the keyword counts as detected.
        expected: rates to expect, with intervals and n.
        seconds: wall time, without starting up.
        bytes: size of what was written.
    """

    user: str
    profile: Path
    keyword: str
    base: str
    method: str
    why: str
    policy: str
    clips_used: tuple[Path, ...]
    clips_rejected: dict[str, str]
    threshold: float
    expected: dict[str, Any]
    seconds: float
    bytes: int


def enroll_command(
    user: Annotated[str, typer.Option(help="Whose model.", autocompletion=completion.users)],
    clips: Annotated[
        list[str] | None, typer.Argument(metavar="CLIP...", help="Files, folders or patterns.")
    ] = None,
    keyword: Annotated[
        str | None, typer.Option(help="What is said: a keyword of the model, or a new word.")
    ] = None,
    record: Annotated[
        int | None, typer.Option(metavar="N", help="Record so many clips from the microphone.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="How: auto, or a file in learning/adapters/.",
            show_default="auto",
            autocompletion=completion.adapters,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="biased: others may say it, too; only: others are refused.", show_default="biased"),
    ] = None,
    far: Annotated[
        float | None,
        typer.Option(help="Budget of false alarms as a share of other words.", show_default="0.005"),
    ] = None,
    fa_per_hour: Annotated[
        float | None, typer.Option(help="Budget in an hour of speech without a pause instead.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="A bundle, or the folder of an exported package, which needs no torch.",
            show_default="the one trained last if it knows the word, else shipped",
        ),
    ] = None,
    precision: parameters.Precision = None,
    memory_budget: Annotated[
        str | None,
        typer.Option(metavar="BYTES", help="Memory to learn in, such as 256KB: decides what learns."),
    ] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Tell first what learning takes.")] = False,
    passphrase: secrets.Passphrase = False,
    key_file: secrets.KeyFile = None,
    config: parameters.Config = None,
    assignments: parameters.Assignments = None,
    seed: parameters.SeedOfOptions = None,
    home: parameters.Home = None,
    json: parameters.Json = False,
) -> None:
    """Make a keyword personal, or teach a new one, from three to ten clips.

    Example: `kwsctl enroll recordings/*.wav --user ana --keyword "open sesame"`
    """
    from kwsctl.options import resolve

    flags = {
        "method": method, "policy": policy, "fa_per_hour": fa_per_hour, "far": far, "seed": seed,
        "precision": precision, "memory_budget": _bytes(memory_budget),
    }  # fmt: skip
    if model is not None and model.is_dir():
        from kwsctl.export.enrolment import PackageEnrollOptions

        asked = resolve(PackageEnrollOptions, file=config, assignments=assignments or (), flags=flags)
        in_package = _in_package(model, clips or [], record, user, keyword, asked, passphrase, key_file)
        _show(in_package, json, f" --model {model}")
        return

    from kwsctl.learning.enroll_options import EnrollOptions

    options = resolve(EnrollOptions, file=config, assignments=assignments or (), flags=flags)
    folder = home_folder(home)
    given = _files(clips or [], needed=record is None)

    from kwsctl.personal import profile as profiles

    key = secrets.resolve_key(passphrase, key_file, is_new=not profiles.exists(folder, user))
    before = profiles.load(folder, user, key) if profiles.exists(folder, user) else None
    base, named = _base(before, model, keyword, folder)
    word = _keyword(keyword, base, before)
    console.note(f"Base: {named}")
    rate_hz = base.features.sample_rate_hz
    with contextlib.ExitStack() as stack:
        if record is not None:
            given += stack.enter_context(recorded(record, word, rate_hz))
        result, spent = _enroll(given, user, word, before, base, named, options, folder, key, cost, json)
    _show(result, json, spent=spent)


def _in_package(
    folder: Path,
    clips: list[str],
    record: int | None,
    user: str,
    keyword: str | None,
    options: PackageEnrollOptions,
    passphrase: bool,
    key_file: Path | None,
) -> EnrollResult:
    """Enrols on an exported package."""
    from kwsctl.cli import enroll_package

    given = _files(clips, needed=record is None)
    console.note(f"Base: {folder} (exported package)")
    key = secrets.resolve_key(passphrase, key_file)
    with contextlib.ExitStack() as stack:
        if record is not None:
            given += stack.enter_context(recorded(record, keyword or "", enroll_package.rate_hz(folder)))
        return enroll_package.enroll_in_package(folder, given, user, keyword, options, key)


def _show(
    result: EnrollResult, as_json: bool, where: str = "", spent: Mapping[str, Cost] | None = None
) -> None:
    console.show(costs.with_cost(result, spent if as_json else None), as_json=as_json, render=_render)
    for path, reason in result.clips_rejected.items():
        console.warn(f"{path} was not used: {reason}")
    _advise(result, where)


def _enroll(
    paths: list[Path],
    user: str,
    word: str,
    before: Profile | None,
    base: Bundle,
    named: str,
    options: Any,
    home: Path,
    key: Key | None,
    cost: bool,
    as_json: bool,
) -> tuple[EnrollResult, Mapping[str, Cost] | None]:
    import time

    import torch

    from kwsctl.learning import enrolment_clips, stored_negatives
    from kwsctl.learning.enroll import as_facts, enroll
    from kwsctl.personal import ledger
    from kwsctl.personal import profile as profiles
    from kwsctl.personal.enrolment import added
    from kwsctl.personal.verifying import keep_with_keyword

    began = time.perf_counter()
    current = profiles.apply(before, base) if before else base
    takes, rejected = enrolment_clips.read(paths, base)
    if options.policy == "only":
        _set_aside_other_voices(takes, rejected, home, user, key, base)
    for i in sorted(enrolment_clips.outliers(base, takes), reverse=True):
        rejected.append(enrolment_clips.Rejected(takes[i].path, "does not resemble the other clips"))
        del takes[i]
    negatives = stored_negatives.load(parameters.shipped(parameters.NEGATIVES))
    spent = None
    if cost:
        spent = costs.of_enrolment(current, word, takes, negatives, options, as_json=as_json)
    with console.progress_bar("Enrolling") as progress:
        taught = set(current.labels) - set(base.labels)
        enrolled = enroll(current, word, takes, negatives, options, progress, taught=taught)
    profile = added(
        before,
        enrolled,
        user=user,
        base=base,
        named=named,
        options=options,
        clips=tuple(take.sha256 for take in takes),
        power=torch.stack([take.power for take in takes]),
    )
    link = profiles.save(home, profile, key)
    if options.policy == "only":
        spoken = torch.stack([take.power for take in takes])
        keep_with_keyword(home, user, spoken, parameters.shipped_ears(), base, key)
    facts = as_facts(enrolled)
    used = tuple(take.path for take in takes)
    reasons = {str(r.path): r.reason for r in rejected}
    about = {"keyword": word, "method": enrolled.method, "policy": options.policy, "expected": facts}
    ledger.append(home, user, "enroll", {**about, "clips": len(used), "rejected": len(reasons)}, key)
    result = EnrollResult(
        user=user,
        profile=link,
        keyword=word,
        base=named,
        method=enrolled.method,
        why=enrolled.why,
        policy=options.policy,
        clips_used=used,
        clips_rejected=reasons,
        threshold=enrolled.threshold,
        expected=dict(facts),
        seconds=time.perf_counter() - began,
        bytes=link.stat().st_size,
    )
    return result, spent


def _set_aside_other_voices(
    takes: list[Any], rejected: list[Any], home: Path, user: str, key: Key | None, base: Bundle
) -> None:
    """Takes out clips that the verification model hears somebody else in, if it knows the voice."""
    from kwsctl.learning.enrolment_clips import Rejected

    vote = parameters.voice_vote(home, user, key, base)
    others = [] if vote is None else [i for i, take in enumerate(takes) if vote(take.power) <= 0]
    for i in reversed(others):
        rejected.append(Rejected(takes[i].path, "another voice than the one that is kept"))
        del takes[i]


def _bytes(text: str | None) -> int | None:
    """Reads the memory budget; imports nothing without one: packages are enrolled on without torch."""
    if text is None:
        return None
    from kwsctl.learning.enrolment_cost import bytes_of

    return bytes_of(text)


def _files(clips: list[str], *, needed: bool) -> list[Path]:
    """Expands folders and patterns; a name that matches nothing is told."""
    from kwsctl.audio.folders import expanded

    found = expanded(clips)
    if needed and not found:
        raise InputError("No clips are given.", "Give three to ten recordings of the keyword, or --record 5.")
    return found


def _base(before: Profile | None, model: Path | None, keyword: str | None, home: Path) -> tuple[Bundle, str]:
    """Loads the person's base, or for a new person the one that suits the keyword."""
    if before is not None and model is None:
        return parameters.base_named(before.base), before.base
    return parameters.base_for(model, keyword or "", home)


def _keyword(asked: str | None, base: Bundle, before: Profile | None) -> str:
    """Finds out what is said, where there is only one possibility."""
    if asked is not None:
        return asked.strip()
    known = [k for k in base.labels if not k.startswith("_")] + sorted(before.keywords if before else ())
    if len(set(known)) == 1:
        return known[0]
    raise InputError("No keyword is given.", 'Say what the clips say: --keyword "open sesame".')


def _render(result: EnrollResult) -> Any:
    from kwsctl.report.enroll_table import enroll_table

    return enroll_table(result.user, result.keyword, result.policy, vars(result))


def _advise(result: EnrollResult, where: str) -> None:
    rate = result.expected["detection_rate"]["rate"]
    if rate < 0.8:  # four calls of five
        console.warn(f"Only {rate:.0%} of calls are expected to be heard. Give more clips, or --far 0.01.")
    console.note(f"Next: kwsctl evaluate --data MANIFEST --user {result.user}{where}")
