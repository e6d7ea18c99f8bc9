"""What every data recipe must keep, over whatever files are in `data_recipes/`."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from kwsctl import registry
from kwsctl.data import manifest
from kwsctl.data.prepare import RECIPES, prepare, recipes
from kwsctl.errors import SourceError
from kwsctl.types import RESERVED_LABELS, SPLITS, Clip
from tests.data.loopback import Site, serving
from tests.data_recipes.trees import TREES, packed

NAMES = registry.names(RECIPES)
READERS = [name for name in NAMES if not hasattr(registry.load(RECIPES, name), "obtain")]
PREFIX = {
    "arabic_speech_commands": "arabic-speech-commands-dataset-master/",
    "ms_snsd": "MS-SNSD-master/",
    "musan": "musan/",
    "speech_commands": "./",
}


def read(name: str, root: Path) -> list[Clip]:
    recipe: Any = registry.load(RECIPES, name)
    return list(recipe.clips(root, recipe.Options()) if hasattr(recipe, "Options") else recipe.clips(root))


def tree(name: str, root: Path) -> Path:
    if name not in TREES:
        pytest.fail(f"add a tiny corpus in the layout of {name} to tests/data_recipes/trees.py")
    TREES[name](root)
    return root


def test_all_recipes_are_listed() -> None:
    assert [recipe.name for recipe in recipes()] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is_under_which_licence_and_what_to_cite(name: str) -> None:
    recipe: Any = registry.load(RECIPES, name)
    assert recipe.LICENCE
    assert recipe.CITATION
    assert 10 < len(recipe.SUMMARY) <= 100
    assert "\n" not in recipe.SUMMARY + recipe.LICENCE + recipe.CITATION
    assert isinstance(recipe.SOURCES, tuple)
    assert recipe.SOURCES or hasattr(recipe, "obtain") or "--root" in recipe.ASK


@pytest.mark.parametrize("name", NAMES)
def test_every_source_is_licensed_and_its_sha256_known_or_declared_unknown(name: str) -> None:
    for source in registry.load(RECIPES, name).SOURCES:
        assert re.fullmatch(r"https?://[^\s]+/[^/\s]+", source.url)
        assert source.licence
        assert source.citation
        assert source.sha256 is None or re.fullmatch("[0-9a-f]{64}", source.sha256)
        assert source.md5 is None or re.fullmatch("[0-9a-f]{32}", source.md5)
        assert re.search(r"\.(zip|tar|tgz|tar\.gz)$", source.name)


@pytest.mark.parametrize("name", NAMES)
def test_options_are_frozen_and_have_defaults(name: str) -> None:
    kind = getattr(registry.load(RECIPES, name), "Options", None)
    if kind is not None:
        options = kind()
        field = dataclasses.fields(kind)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(options, field, None)


@pytest.mark.parametrize("name", READERS)
def test_reads_the_publishers_layout(name: str, tmp_path: Path) -> None:
    root = tree(name, tmp_path / "corpus")
    found = read(name, root)
    assert found
    assert found == read(name, root), "the same folder gives the same clips in the same order"
    assert all(clip.path.is_file() for clip in found)
    assert {clip.split for clip in found} == set(SPLITS)
    assert any(clip.label not in RESERVED_LABELS or clip.label == "_background_" for clip in found)
    manifest.check_speakers(found, name)
    manifest.write(tmp_path / "m.csv", found)
    assert [clip.id for clip in manifest.read(tmp_path / "m.csv")]


@pytest.mark.parametrize("name", READERS)
def test_an_empty_or_foreign_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read(name, tmp_path)
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", READERS)
def test_prepares_a_folder_that_is_there_already(name: str, tmp_path: Path) -> None:
    root = tree(name, tmp_path / "corpus")
    made = prepare(name, tmp_path / "home", root=root)
    assert made.manifest == tmp_path / "home" / "data" / name / "manifest.csv"
    assert made.clips == len(read(name, root))
    assert made.rejected == 0
    assert made.hours > 0
    assert made.downloads == ()
    assert made.licence == registry.load(RECIPES, name).LICENCE


@pytest.mark.parametrize("name", [name for name in READERS if registry.load(RECIPES, name).SOURCES])
def test_downloads_unpacks_and_prepares(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe: Any = registry.load(RECIPES, name)
    upstream = tree(name, tmp_path / "upstream")
    expected = read(name, upstream)
    wanted = recipe.sources(recipe.Options()) if hasattr(recipe, "sources") else recipe.SOURCES
    with serving(Site()) as site:
        local = []
        for source in wanted:
            body = packed(upstream, source.name, PREFIX.get(name, ""))
            site.files[f"/{source.name}"] = body
            sha256 = hashlib.sha256(body).hexdigest() if source.sha256 else None
            local.append(
                dataclasses.replace(
                    source, url=f"{site.url}/{source.name}", sha256=sha256, bytes=None, md5=None
                )
            )
        monkeypatch.setattr(recipe, "SOURCES", tuple(local))
        if hasattr(recipe, "sources"):
            monkeypatch.setattr(recipe, "sources", lambda options: tuple(local))
        made = prepare(name, tmp_path / "home", out=tmp_path / "out")
        again = prepare(name, tmp_path / "home", out=tmp_path / "out")
        assert len(site.asked) == len(wanted), "nothing is fetched twice"
    assert again == made
    assert made.clips == len(expected)
    assert made.manifest == tmp_path / "out" / "manifest.csv"
    assert all(
        clip.path.is_relative_to(tmp_path / "out" / "unpacked") for clip in manifest.read(made.manifest)
    )
    assert [receipt.verified for receipt in made.downloads] == [
        source.sha256 is not None for source in wanted
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", receipt.sha256) for receipt in made.downloads)
    labels = sorted(clip.label for clip in manifest.read(made.manifest))
    assert labels == sorted(clip.label for clip in expected)


@pytest.mark.parametrize("name", [name for name in READERS if not registry.load(RECIPES, name).SOURCES])
def test_says_how_to_get_what_cannot_be_downloaded(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be downloaded") as caught:
        prepare(name, tmp_path)
    assert "--root" in caught.value.hint
