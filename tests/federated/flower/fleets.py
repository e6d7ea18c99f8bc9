"""Three people with clips on disk, and the app that `kwsctl federate deploy` writes for them."""

from __future__ import annotations

import importlib
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kwsctl.audio import files
from kwsctl.bundle import Bundle
from kwsctl.data.prepare import prepared
from kwsctl.data.store import ClipStore
from kwsctl.federated.flower.deployment import Deployment, DeployOptions, deploy
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.start import with_words
from kwsctl.options import from_mapping
from tests.toy_people import NEW_WORDS, RATE_HZ, crowd, encoder, joined, say

NAMES, TAKES, HELD_OUT = ("s0", "s1", "s2"), 2, 20
SAID = tuple(sorted(NEW_WORDS))


def options(**values: Any) -> FederateOptions:
    return from_mapping(
        FederateOptions,
        {"part": "head", "rounds": 2, "aggregator": "mean", "local": {"rate": 6.0}, **values},
    )


def store() -> ClipStore:
    """All three, and one held-out person."""
    return joined(crowd(NEW_WORDS, range(3), TAKES), crowd(NEW_WORDS, (HELD_OUT,), TAKES, "val"))


def base() -> Bundle:
    return with_words(encoder(), SAID)


@dataclass(frozen=True)
class Fleet:
    made: Deployment
    nodes: list[dict[str, str]]
    config: dict[str, Any]


def fleet(folder: Path, how: FederateOptions, names: tuple[str, ...] = NAMES, **where: Any) -> Fleet:
    """Writes a deployment and everybody's clips."""
    held_out = manifest(folder / "held-out", HELD_OUT, "val")
    made = deploy(
        folder / "fleet",
        how,
        DeployOptions(names, held_out=held_out, **where),
        model=encoder(),
        words=NEW_WORDS,
    )
    nodes = []
    for number, name in enumerate(names):
        data = manifest(folder / name, number)
        own = made.folder / "devices" / name / "base.safetensors"
        nodes.append({"client": name, "data": str(data), "base": str(own), "home": str(folder / name)})
    config = tomllib.loads((made.app / "pyproject.toml").read_text())
    return Fleet(made, nodes, config["tool"]["flwr"]["app"]["config"] | {"home": str(folder / "server-home")})


def recorded(there: Fleet, folder: Path) -> ClipStore:
    """The same recordings in one store, for the simulation."""
    manifests = [*(node["data"] for node in there.nodes), there.config["held-out"]]
    return joined(*(prepared(Path(one), folder / "recorded") for one in manifests))


def manifest(folder: Path, speaker: int, split: str = "train") -> Path:
    folder.mkdir(parents=True)
    lines = ["path,label,speaker,split"]
    for word in NEW_WORDS:
        for take in range(TAKES):
            path = folder / f"{word}-{take}.wav"
            files.write(path, say(word, speaker, take), RATE_HZ)
            lines.append(f"{path.name},{word},s{speaker},{split}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


def apps(made: Deployment) -> tuple[Any, Any]:
    """Imports both apps as Flower does: from the folder, by the names in its pyproject.toml."""
    sys.path.insert(0, str(made.app))
    try:
        for name in [name for name in sys.modules if name.partition(".")[0] == "federation"]:
            del sys.modules[name]
        return (
            importlib.import_module("federation.server_app").app,
            importlib.import_module("federation.client_app").app,
        )
    finally:
        sys.path.remove(str(made.app))
