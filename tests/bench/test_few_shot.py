"""The chart of few-shot personalization: how it is measured, and how its table comes about."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from kwsctl import bundle
from kwsctl.bench import few_shot as bench
from kwsctl.bench import few_shot_cases
from kwsctl.bench.few_shot import few_shot
from kwsctl.bench.few_shot_options import FewShotOptions
from kwsctl.bench.few_shot_summary import FewShot, summary
from kwsctl.data.store import ClipStore
from kwsctl.errors import InputError
from kwsctl.learning.adapters import _tuning
from kwsctl.learning.adapters._enrolment import Enrolment
from tests.bench.corpus import case
from tests.toy_people import WORDS, crowd

OPTIONS = FewShotOptions(
    held_out=3,
    keywords=2,
    shots=(1, 3),
    methods=("prototype", "head"),
    deep_methods=("bias",),
    deep_shots=3,
    deep_keywords=1,
    epochs=2,
)
SAID = WORDS[:3]


@pytest.fixture(scope="module")
def store() -> ClipStore:
    return crowd(SAID, range(6), 8)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def measured(store: ClipStore, home: Path) -> tuple[FewShot, list[tuple[set[bytes], set[bytes]]]]:
    """The bench, and for each person and word the clips that were enrolled and those that were tested."""
    seen: list[tuple[set[bytes], set[bytes]]] = []
    patched = pytest.MonkeyPatch()

    class Trial(few_shot_cases._Trial):
        def __init__(self, people: object, speaker: str, word: str, tests: np.ndarray) -> None:
            super().__init__(people, speaker, word, tests)  # type: ignore[arg-type]
            seen.append((set(), {self.people.takes[i].power.numpy().tobytes() for i in tests}))

    def enrolment(base: object, word: str, power: torch.Tensor, *rest: object, **more: object) -> Enrolment:
        seen[-1][0].update(one.numpy().tobytes() for one in power)
        return Enrolment(base, word, power, *rest, **more)  # type: ignore[arg-type]

    patched.setattr(few_shot_cases, "_Trial", Trial)
    patched.setattr(few_shot_cases, "Enrolment", enrolment)
    patched.setattr(_tuning, "STEPS", 4)
    found = few_shot(store, OPTIONS, home)
    patched.undo()
    return found, seen


def test_clips_that_are_enrolled_are_never_tested(measured: tuple[FewShot, list]) -> None:
    _, seen = measured
    assert len(seen) == 6 * 2
    for enrolled, tested in seen:
        assert (len(enrolled), len(tested)) == (3, 5)
        assert not enrolled & tested


def test_everybody_enrols_every_word_in_every_way(measured: tuple[FewShot, list]) -> None:
    found, _ = measured
    assert found.people == 6
    kinds = [(row.method, row.shots) for row in found.rows]
    assert kinds == [("global", 0), ("prototype", 1), ("head", 1), ("prototype", 3), ("head", 3), ("bias", 3)]
    for row in found.rows:
        assert row.keywords == (1 if row.method == "bias" else 2)
        assert row.tests == 6 * row.keywords * 5
        assert (row.bytes == 0) == (row.method == "global")
        assert (row.training_bytes > 0) == (row.method == "bias")
        assert row.beside_full is None
    assert len(found.cases) == 6 * (2 * 5 + 1)


def test_rates_lie_in_their_intervals(measured: tuple[FewShot, list]) -> None:
    found, _ = measured
    for row in found.rows:
        for rate, low, high in (row.outliers, row.others, row.everybody):
            assert 0 <= low <= rate <= high <= 1
        assert row.worst <= row.everybody[0]
        assert min(row.outliers[0], row.others[0]) <= row.everybody[0] <= max(row.outliers[0], row.others[0])


def test_outliers_are_the_fifth_and_two_at_least_that_the_global_model_hears_worst(
    measured: tuple[FewShot, list],
) -> None:
    found, _ = measured
    rates: dict[str, list[float]] = {}
    for one in found.cases:
        if one.method == "global":
            rates.setdefault(one.speaker, []).append(one.detected)
    before = {name: sum(values) / len(values) for name, values in rates.items()}
    assert len(found.outliers) == 2
    assert max(before[n] for n in found.outliers) <= min(
        v for n, v in before.items() if n not in found.outliers
    )


def test_no_global_model_has_heard_whom_it_is_tested_on(
    measured: tuple[FewShot, list], store: ClipStore, home: Path
) -> None:
    models = [bundle.load(path) for path in sorted((home / "bench").glob("few-shot-*.safetensors"))]
    folds = bench._folds(store, OPTIONS)
    assert len(models) == len(folds) == 2
    for model, fold in zip(models, folds, strict=True):
        assert not set(model.lineage["speakers"]) & set(fold)
        assert set(model.lineage["speakers"]) | set(fold) == {f"s{i}" for i in range(6)}


def test_global_models_are_kept_but_not_taken_for_those_of_other_data(
    measured: tuple[FewShot, list], store: ClipStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def train(*arguments: object, **_: object) -> None:
        trained.append(arguments[1])
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "train", train)
    fold = bench._folds(store, OPTIONS)[0]
    base, negatives = bench._global(store, fold, 0, OPTIONS, home)
    assert not trained and set(SAID) <= set(base.labels)
    assert not set(negatives.speakers) & set(fold)
    others = dataclasses.replace(
        store, clips=tuple(dataclasses.replace(c, speaker=f"new-{c.speaker}") for c in store.clips)
    )
    words = dataclasses.replace(
        store, clips=tuple(dataclasses.replace(c, label=f"{c.label}!") for c in store.clips)
    )
    for other, who in ((others, [f"new-{n}" for n in fold]), (words, fold)):
        with pytest.raises(KeyboardInterrupt):
            bench._global(other, who, 0, OPTIONS, home)
    assert len(trained) == 2


def test_too_few_people_make_no_folds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3 speakers make no folds of 3"):
        few_shot(crowd(SAID[:1], range(3), 1), OPTIONS, tmp_path)


def test_the_table_by_hand() -> None:
    global_rates = {"ana": 0.9, "ben": 0.2, "cleo": 0.8, "dora": 1.0, "emil": 0.6}
    after = {"ana": 1.0, "ben": 0.8, "cleo": 0.7, "dora": 1.0, "emil": 1.0}
    cases = [case(n, "global", 0, rate) for n, rate in global_rates.items()]
    cases += [case(n, "head", 5, rate) for n, rate in after.items()]
    found = summary(cases)
    assert found.outliers == ("ben", "emil") and found.people == 5
    before, head = found.rows
    assert (before.method, before.shots, head.method, head.shots) == ("global", 0, "head", 5)
    assert before.outliers[0] == pytest.approx(0.4) and before.others[0] == pytest.approx(0.9)
    assert before.everybody[0] == pytest.approx(0.7) and before.worst == 0.2 and before.worst_change == 0.0
    assert head.outliers[0] == pytest.approx(0.9) and head.others[0] == pytest.approx(0.9)
    assert head.worst == 0.7 and head.worst_change == pytest.approx(-0.1)
    assert (head.impostors, head.strangers, head.tests, head.bytes) == (0.25, pytest.approx(0.02), 25, 500)


def test_losses_are_on_the_keywords_that_were_enrolled() -> None:
    names = ("ana", "ben", "cleo", "dora")
    cases = [case(n, "global", 0, rate, word) for n in names for word, rate in (("yes", 0.5), ("no", 1.0))]
    cases += [case(n, "full", 5, 0.6, "yes") for n in names]
    assert summary(cases).rows[-1].worst_change == pytest.approx(0.1)


def test_a_method_is_held_beside_unconstrained_tuning_case_by_case() -> None:
    names = ("ana", "ben", "cleo", "dora")
    cases = [case(n, "global", 0, 0.5, word) for n in names for word in ("yes", "no")]
    cases += [case(n, "full", 5, 0.8, "yes") for n in names]
    cases += [dataclasses.replace(case(n, "shift", 5, 0.7, "yes"), training_bytes=9000) for n in names]
    cases += [case(n, "head", 3, 0.9, word) for n in names for word in ("yes", "no")]
    rows = {row.method: row for row in summary(cases).rows}
    assert rows["shift"].beside_full == pytest.approx((-0.1, -0.1, -0.1))
    assert rows["shift"].training_bytes == 9000
    assert rows["full"].beside_full is None and rows["head"].beside_full is None


def test_a_bench_that_was_killed_goes_on(
    measured: tuple[FewShot, list], store: ClipStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_again(*_: object) -> None:
        raise AssertionError("a case was tried again")

    monkeypatch.setattr(bench, "cases_of", made_again)
    assert few_shot(store, OPTIONS, home) == measured[0]
