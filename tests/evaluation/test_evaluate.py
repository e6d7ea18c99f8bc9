from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kwsctl.audio import files
from kwsctl.errors import InputError
from kwsctl.evaluation.evaluate import evaluate
from kwsctl.evaluation.options import EvaluateOptions
from kwsctl.evaluation.results import Evaluation
from kwsctl.types import BACKGROUND, SILENCE, UNKNOWN

from .tones import RATE_HZ, quiet, store_of, tone, tone_bundle

WORDS = ("low", "high")


def run(bundle, store, **arguments) -> Evaluation:
    return evaluate(bundle, store, generator=np.random.default_rng(0), **arguments)


def background(*words_at: tuple[str, float], seconds: float = 30.0) -> np.ndarray:
    """Faint noise with words in it."""
    wave = np.random.default_rng(1).integers(-30, 30, round(seconds * RATE_HZ)).astype(np.int16)
    for word, at_s in words_at:
        start = round(at_s * RATE_HZ)
        wave[start : start + RATE_HZ] += tone(word)
    return wave


def spoken(mistaken: int = 1) -> list:
    """Five speakers say both words twice; the first clips of `low` are in truth `high`."""
    rows = [(word, f"s{n % 5}", tone(word)) for n in range(10) for word in WORDS]
    for index in range(mistaken):
        rows[2 * index] = ("low", f"s{index}", tone("high"))
    return rows


def test_a_keyword_set_gets_its_figures() -> None:
    store = store_of(*spoken(), (BACKGROUND, None, background(("high", 8.0), ("high", 20.0))))
    found = run(tone_bundle(WORDS), store)
    assert found.accuracy == 19 / 20 and found.n == 20 and found.n_speakers == 5
    assert found.ci95 is not None and found.ci95.low < 0.95 < found.ci95.high
    assert found.ci95.method == "bootstrap over 5 speakers" and found.speakers_known
    assert found.per_label["low"].recall == 0.9 and found.per_label["low"].precision == 1.0
    assert [(row.speaker, row.rate, row.n) for row in found.per_speaker[:2]] == [
        ("s0", 0.75, 4),
        ("s1", 1.0, 4),
    ]
    assert found.worst_decile is not None
    assert (found.worst_decile.rate, found.worst_decile.rest) == (0.75, 1.0)
    assert found.confusion is not None and found.confusion.counts.tolist() == [[9, 1], [0, 10]]
    assert found.eer is not None and found.eer.macro == pytest.approx(0.1 / 1.1 / 1, abs=0.06)
    assert found.headline == found.accuracy


def test_the_threshold_keeps_the_budget_on_the_background() -> None:
    noisy = background(("high", 8.0), ("high", 20.0))
    store = store_of(*spoken(0), (BACKGROUND, None, noisy))
    strict = run(tone_bundle(WORDS), store).detection
    assert strict is not None and strict.false_alarms is not None
    assert strict.false_alarms.count == 0 and strict.false_alarms.hours == pytest.approx(30 / 3600)
    generous = run(tone_bundle(WORDS), store, options=EvaluateOptions(fa_per_hour=2 * 120.0)).detection
    assert generous is not None and generous.false_alarms is not None
    assert generous.false_alarms.count == 2 and generous.false_alarms.per_hour == pytest.approx(240)
    assert generous.frr == 0.0 and generous.threshold < strict.threshold


def test_a_wake_word_has_no_accuracy_but_detection() -> None:
    rows = [("low", f"s{n % 4}", tone("low", level=0.3 if n else 0.0)) for n in range(8)]
    rows += [("other", "s9", tone("other")), (BACKGROUND, None, background())]
    found = run(tone_bundle(("low",), "wake", thresholds={"low": 0.5}), store_of(*rows))
    assert found.accuracy is None and found.ci95 is None and found.confusion is None
    assert found.detection is not None and found.detection.frr == 1 / 8 and found.headline == 7 / 8
    assert found.detection.wrong_word is not None and found.detection.wrong_word.n == 1
    assert found.n == 8 and found.per_speaker[0].speaker == "s0" and found.per_speaker[0].rate == 0.5
    assert found.per_label["low"].recall == 7 / 8
    assert found.detection_as_shipped is not None
    assert found.detection_as_shipped.threshold == {"low": 0.5}


def test_without_background_there_is_no_rate_per_hour() -> None:
    store = store_of(*spoken())
    bare = run(tone_bundle(WORDS), store)
    assert bare.detection is None and bare.facts()["detection"] is None
    assert any("--background" in warning for warning in bare.warnings)
    shipped = run(tone_bundle(WORDS, thresholds={"low": 0.9, "high": 0.9}), store)
    assert shipped.detection is shipped.detection_as_shipped is not None
    facts = shipped.facts()["detection"]
    assert facts["false_alarms_per_hour"] is None and facts["hours"] == 0.0 and facts["frr"] == 0.05
    wake = run(tone_bundle(("low",), "wake"), store)
    assert wake.headline is None and wake.n == 0 and wake.per_speaker == () and wake.worst_decile is None


def test_background_files_and_manifest_add_up(tmp_path: Path) -> None:
    files.write(tmp_path / "radio.wav", background(("low", 5.0), seconds=20.0) / np.float32(32768), RATE_HZ)
    store = store_of(*spoken(0), (BACKGROUND, None, background(seconds=10.0)))
    options = EvaluateOptions(fa_per_hour=120.0)
    found = run(tone_bundle(WORDS), store, background=[tmp_path / "radio.wav"], options=options).detection
    assert found is not None and found.false_alarms is not None
    assert found.false_alarms.hours == pytest.approx(30 / 3600) and found.false_alarms.count == 1
    by_source = {name: (a.count, round(a.hours * 3600)) for name, a in found.backgrounds.items()}
    assert by_source == {"manifest": (0, 10), str(tmp_path / "radio.wav"): (1, 20)}


def test_other_words_are_unknown_or_left_out() -> None:
    rows = [*spoken(0), ("strange", "s0", tone("other")), ("other", "s1", tone("other"))]
    excluded = run(tone_bundle(WORDS), store_of(*rows))
    assert excluded.n == 20 and excluded.n_excluded == 2 and excluded.accuracy == 1.0
    assert any("2 clips are of words" in warning for warning in excluded.warnings)
    mapped = run(tone_bundle((*WORDS, UNKNOWN)), store_of(*rows))
    assert mapped.n == 22 and mapped.n_excluded == 0 and mapped.accuracy == 1.0
    assert mapped.per_label[UNKNOWN].n == 2


def test_silence_is_counted_apart() -> None:
    rows = [*spoken(0), (SILENCE, "s0", quiet(1.0)), (BACKGROUND, None, background())]
    found = run(tone_bundle((*WORDS, SILENCE)), store_of(*rows))
    assert found.accuracy == 1.0 and found.per_label[SILENCE].n == 1
    assert found.detection is not None and found.detection.silence is not None
    assert found.detection.silence.n == 1 and found.detection.silence.rate == 0.0


def test_only_the_clips_of_the_split_count() -> None:
    store = store_of(*spoken(0))
    moved = replace(store, clips=tuple(
        replace(clip, split="val" if clip.speaker in ("s0", "s1") else "test") for clip in store.clips
    ))  # fmt: skip
    assert run(tone_bundle(WORDS), moved, split="val").n == 8
    with pytest.raises(InputError, match=r"no clips in split 'train'.*--split: val 8, test 12"):
        run(tone_bundle(WORDS), moved, split="train")


def test_clips_of_no_keyword_are_refused() -> None:
    store = store_of(("strange", None, tone("strange")), (BACKGROUND, None, quiet(2.0)))
    with pytest.raises(InputError, match=r"None of the 2 clips.*keyword of the model, low, high"):
        run(tone_bundle(WORDS), store)


def test_speakers_of_the_training_data_are_named() -> None:
    store = store_of(*spoken(0))
    seen = run(tone_bundle(WORDS, lineage={"speakers": ["s1", "s3", "x"]}), store)
    assert any("2 of 5 speakers are in the training data (s1, s3)" in warning for warning in seen.warnings)
    unseen = run(tone_bundle(WORDS, lineage={"speakers": ["x"]}), store)
    assert not any("training data" in warning for warning in unseen.warnings)
    untold = run(tone_bundle(WORDS), store)
    assert any("does not say whose voices" in warning for warning in untold.warnings)


def test_unknown_speakers_are_told() -> None:
    rows = [(label, None if label == "low" else name, audio) for label, name, audio in spoken(0)]
    found = run(tone_bundle(WORDS, lineage={"speakers": []}), store_of(*rows))
    assert not found.speakers_known
    assert any("10 of 20 clips do not name their speaker" in warning for warning in found.warnings)


def test_short_background_is_told() -> None:
    store = store_of(*spoken(0), (BACKGROUND, None, background()))
    found = run(tone_bundle(WORDS), store)
    (told,) = [warning for warning in found.warnings if "background" in warning]
    assert "0.0083 h of background audio cannot prove 0.5" in told and "fewer than 359 per hour" in told
    assert found.provable_per_hour == pytest.approx(3.0 * 120, rel=0.01)


def test_rejected_clips_are_told() -> None:
    from kwsctl.data.store import Rejection

    store = replace(store_of(*spoken(0)), rejected=(Rejection(Path("x.wav"), "x.wav is empty."),))
    assert any(
        "1 clips of the manifest could not be used" in w for w in run(tone_bundle(WORDS), store).warnings
    )


def test_facts_are_json_and_hold_the_promised_keys() -> None:
    store = store_of(*spoken(), (BACKGROUND, None, background()))
    found = run(tone_bundle(WORDS), store)
    facts = json.loads(json.dumps(found.facts(), default=lambda value: value.tolist(), allow_nan=False))
    promised = {"accuracy", "n", "ci95", "per_label", "per_speaker", "worst_decile", "confusion", "eer",
                "detection", "speakers_known", "warnings"}  # fmt: skip
    assert promised <= set(facts)
    assert facts["per_speaker"]["s0"] == {"rate": 0.75, "n": 4} and len(facts["ci95"]) == 2
    detection = {
        "threshold",
        "frr",
        "false_alarms_per_hour",
        "hours",
        "smoothing_s",
        "refractory_s",
        "budget",
    }
    assert detection <= set(facts["detection"])


def test_the_same_seed_gives_the_same_figures() -> None:
    store = store_of(*spoken(), (BACKGROUND, None, background()))
    assert run(tone_bundle(WORDS), store).facts()["ci95"] == run(tone_bundle(WORDS), store).facts()["ci95"]


def test_progress_says_what_is_being_scored() -> None:
    told = []
    store = store_of(*spoken(0), (BACKGROUND, None, background()))
    run(
        tone_bundle(WORDS),
        store,
        progress=lambda done, total, **facts: told.append((done, total, facts["scoring"])),
    )
    assert {what for *_, what in told} == {"clips", "clips as streams", "background"}
    assert (20, 20, "clips") in told and (1, 1, "background") in told


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"resamples": -1}, {"far": 2.0}, {"hop_s": 0.0}])
def test_options_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError):
        run(tone_bundle(WORDS), store_of(*spoken(0)), options=EvaluateOptions(**wrong))
