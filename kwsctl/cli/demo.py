"""`kwsctl demo`: the whole life of a wake word, by the commands that a person would type."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json as jsons
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kwsctl import records
from kwsctl.cli import console, parameters
from kwsctl.errors import KwsctlError, ParityError

PHRASE, USER = "hey snapdragon", "outlier"
SPOKEN = (
    'engines=["hibari","nanotts"]',  # both come with kwsctl; slower voices would not fit into the time
    "takes=24",
    "negatives=14",
    "background_min=4",
)
EPOCHS, ROUNDS = 8, 8
FEDERATED = ("federated", "noisy", "before-federation", "after-federation")


@dataclass(frozen=True)
class Place:
    """Where the demo keeps everything.

    Attributes:
        folder: the demo's.
        seed: of everything random.
    """

    folder: Path
    seed: int

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @property
    def home(self) -> Path:
        """The home folder of the demo, apart from the person's own."""
        return self.folder / "home"

    def kwsctl(self, *arguments: str | Path, keep: str = "") -> None:
        """Runs a command, as it would be typed, and shows it; `keep` names what it found out."""
        from kwsctl.cli.app import app

        given = [str(argument) for argument in arguments]
        shown = [word if len(word) < 60 else f"…{word[-40:]}" for word in given]
        console.command(f"kwsctl {shlex.join(shown[:9])}{' …' if len(shown) > 9 else ''}")
        code = app([*given, "--home", str(self.home), "--seed", str(self.seed)], standalone_mode=False)
        if code == console.EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if isinstance(code, int) and code not in (0, console.EXIT_CHECK_SAID_NO):
            raise KwsctlError(f"kwsctl {given[0]} ended with {code}.", "Run it alone to see why.")
        if keep:
            shutil.copyfile(records.paths(self.home)[0], self.home / f"{keep}.json")

    def told(self, name: str) -> dict[str, Any]:
        """Gives what a command found out."""
        return dict(records.read(self.home / f"{name}.json").facts)


@dataclass(frozen=True)
class Step:
    """One part of the demo.

    Attributes:
        title: what happens.
        makes: what is there when it is done; a step whose mark is there is not done again.
        work: does it.
    """

    title: str
    makes: str
    work: Callable[[Place], None]


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for everything; the same one goes on.")] = Path("demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, and remove what is there.")] = False,
    seed: parameters.Seed = 0,
    json: parameters.Json = False,
) -> None:
    """Show the whole life of a wake word on synthetic voices, in minutes; it goes on where it was stopped.

    Example: `kwsctl demo --out demo`
    """
    from kwsctl.demo.claims import claims
    from kwsctl.report.demo_table import demo_table

    place = Place(out, seed)
    if fresh and (out / "steps.json").is_file():
        shutil.rmtree(out)
    console.note("Synthetic voices: this shows that the chain works, not how people will fare.")
    with contextlib.redirect_stdout(sys.stderr):  # commands print their tables there; stdout is for the end
        seconds = {step.title: _done(place, step, number) for number, step in enumerate(STEPS, start=1)}
    found = claims(_measured(place))
    facts = {
        "page": out / "report.html",
        "claims": found,
        "seconds": seconds,
        "total_s": sum(seconds.values()),
    }
    console.show(facts, as_json=json, render=lambda facts: demo_table(facts))
    for line in _next(place):
        console.note(line)


def _done(place: Place, step: Step, number: int) -> float:
    """Does a step, unless it was done; gives the seconds that it took, now or then."""
    log = place / "steps.json"
    known = jsons.loads(log.read_text(encoding="utf-8")) if log.is_file() else {}
    if step.makes in known:
        console.note(f"{number}/{len(STEPS)} {step.title}: done before.")
        return float(known[step.makes])
    console.heading(f"{number}/{len(STEPS)} {step.title}")
    began = time.perf_counter()
    step.work(place)
    known[step.makes] = round(time.perf_counter() - began, 1)
    from kwsctl.storage import write_text

    write_text(log, jsons.dumps(known, indent=1) + "\n")
    return float(known[step.makes])


def _speak(place: Place) -> None:
    from kwsctl.demo import people

    options = [part for option in SPOKEN for part in ("--set", option)]
    place.kwsctl("data", "prepare", "synthetic", "--out", place / "voices", *options)
    people.hold_out_accents(place / "voices" / "manifest.csv", place / "voices" / "people.csv")


def _train(place: Place) -> None:
    data = place / "voices" / "people.csv"
    place.kwsctl(
        "train", "--data", data, "--epochs", str(EPOCHS), "--out", place / "hey-snapdragon.safetensors"
    )
    place.kwsctl("evaluate", "--data", data, keep="shared")


def _enroll(place: Place) -> None:
    from kwsctl.demo import people

    data = place / "voices" / "people.csv"
    found = people.outlier(data, place.told("shared"))
    people.save(found, place / "outlier.json")
    console.note(
        f"{found.speaker} is heard worst: {found.heard_before:.0%} of calls. Four clips make it personal."
    )
    encoder = parameters.shipped(parameters.ENCODER)
    place.kwsctl("enroll", *found.enrolled, "--user", USER, "--keyword", found.keyword, "--model", encoder)
    people.without(data, (*found.week, *found.others), place / "voices" / "test.csv")
    place.kwsctl("evaluate", "--data", place / "voices" / "test.csv", "--user", USER)


def _adapt(place: Place) -> None:
    from kwsctl.demo import people, week

    with console.progress_bar("Recording the week") as progress:
        found = people.load(place / "outlier.json")
        week.record(place / "voices" / "people.csv", place.home, found, place / "week", progress)
    _listen(place, "enrolled", "--user", USER)
    place.kwsctl("adapt", "--stream", place / "week", "--user", USER, "--set", "every=4")
    place.kwsctl("evaluate", "--data", place / "voices" / "test.csv", "--user", USER)


def _federate(place: Place) -> None:
    """Lets people with the accents of the outlier learn together; the outlier and others are held out."""
    from kwsctl.demo import people

    data, shared = place / "voices" / "devices.csv", place / "hey-snapdragon.safetensors"
    people.devices(place / "voices" / "people.csv", people.load(place / "outlier.json"), data)
    begin = ("federate", "--data", data, "--model", shared, "--aggregator", "mean", "--set=evaluate_every=1")
    masked = ("--set=secure.on=true", "--set=secure.degree=4", "--set=local.rate=0.05")
    out = place / "federated.safetensors"
    place.kwsctl(*begin, "--rounds", str(ROUNDS), *masked, "--out", out, keep="federated")
    for name, model in (("before-federation", shared), ("after-federation", out)):
        place.kwsctl("evaluate", "--data", data, "--split", "val", "--model", model, keep=name)
    noisy = ("--part", "vectors", "--set=privacy.clip=1", "--set=privacy.noise=1")
    place.kwsctl(*begin, "--rounds", "3", *noisy, "--out", place / "noisy.safetensors", keep="noisy")


def _export(place: Place) -> None:
    """Exports the person's model for Snapdragon; where the proof says no, for onnx."""
    tries: list[tuple[str, ...]] = [("onnx",)]
    if importlib.util.find_spec("onnxruntime_qnn") is None:
        console.note("The extra snapdragon is not installed: exports for onnx instead.")
    else:
        tries = [("snapdragon", "--soc", "SM8650"), *tries]
    for number, how in enumerate(tries, start=1):
        try:
            place.kwsctl("export", "--target", *how, "--user", USER, "--out", place / "package")
            return
        except ParityError as refused:
            if number == len(tries):
                raise
            console.warn(f"The proof says no, nothing was written: {refused.message}")


def _hear(place: Place) -> None:
    _listen(place, "shared", "--model", place / "hey-snapdragon.safetensors")
    _listen(place, "adapted", "--user", USER)
    _listen(place, "package", "--user", USER, "--model", place / "package")


def _listen(place: Place, name: str, *how: str | Path) -> None:
    """Listens to the Monday after the week, and keeps the events."""
    from kwsctl.storage import write_text

    events = io.StringIO()
    with contextlib.redirect_stdout(events):
        place.kwsctl("listen", "--input", place / MONDAY, *how)
    write_text(place / f"events-{name}.jsonl", events.getvalue())


def _report(place: Place) -> None:
    place.kwsctl("report", place.folder, "--out", place / "report.html")


MONDAY = "8-monday.flac"
STEPS = (
    Step("Speak a corpus", "corpus", _speak),
    Step("Train a shared model, and measure it", "shared", _train),
    Step("Enroll the voice that it hears worst", "enrolled", _enroll),
    Step("Adapt to a week of unlabelled audio", "adapted", _adapt),
    Step("Let simulated devices learn together", "federated", _federate),
    Step("Export for a device", "package", _export),
    Step("Listen to the Monday after", "events", _hear),
    Step("Make the page", "page", _report),
)


def _measured(place: Place) -> Any:
    from kwsctl.demo import people
    from kwsctl.demo.claims import Measured
    from kwsctl.demo.week import compare
    from kwsctl.personal import ledger

    entries = ledger.read(place.home, USER)
    evaluations = [entry.facts for entry in entries if entry.event == "evaluate"]
    return Measured(
        speaker=people.load(place / "outlier.json").speaker,
        shared=place.told("shared"),
        enrolled=evaluations[0],
        adapted=evaluations[-1],
        learned=tuple(entry.facts for entry in entries if entry.event == "update"),
        federated={name: place.told(name) for name in FEDERATED},
        exported=_exported(place / "package"),
        monday={
            name: compare(_times(place / f"events-{name}.jsonl"), place / "8-monday.json")
            for name in ("shared", "enrolled", "adapted", "package")
        },
    )


def _exported(package: Path) -> dict[str, Any]:
    """Gives what a package says of itself; what was exported of a person is in no list of runs."""
    from kwsctl.export.package import REPORT

    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    return {**jsons.loads((package / REPORT).read_text(encoding="utf-8")), "size_bytes": size}


def _times(path: Path) -> list[float]:
    return [float(jsons.loads(line)["time_s"]) for line in path.read_text(encoding="utf-8").splitlines()]


def _next(place: Place) -> tuple[str, ...]:
    return (
        "Now with your own voice:",
        '  kwsctl enroll --record 5 --user ME --keyword "open sesame"   # or: kwsctl enroll MY_CLIPS …',
        "  kwsctl listen --user ME                                      # the microphone, or --input FILE",
        "  kwsctl adapt --stream mic --user ME                          # it learns from what it hears",
        '  kwsctl train --phrase "okay computer"                        # another wake phrase for everybody',
        "  kwsctl data list                                             # public corpora of recordings",
    )
