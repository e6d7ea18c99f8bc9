from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsctl.errors import InputError
from kwsctl.evaluation.detection import events_of, false_alarms
from kwsctl.evaluation.operating_point import (
    OTHER_WORD,
    SILENT,
    Background,
    ClipRate,
    HeardClips,
    measure,
    tradeoff,
)
from kwsctl.evaluation.streams import ScoreStream, Trigger

AT_ONCE = Trigger(smoothing_s=0.0, refractory_s=2.0)


def stream(*rows: list[float], seconds: float | None = None) -> ScoreStream:
    values = np.array(rows, dtype=np.float32)
    labels = tuple("abc"[: values.shape[1]])
    times_s = 1.0 + 0.1 * np.arange(len(values))
    return ScoreStream(labels, values, times_s, 0.1, float(times_s[-1]) if seconds is None else seconds)


def heard(*rows: tuple[int, str | None, ScoreStream]) -> HeardClips:
    return HeardClips([s for *_, s in rows], np.array([k for k, *_ in rows]), [name for _, name, _ in rows])


TWO_WORDS = heard(
    (0, "ann", stream([0.1, 0.0], [0.9, 0.1])),  # detected
    (0, "ann", stream([0.4, 0.1], [0.3, 0.2])),  # missed
    (1, "bob", stream([0.8, 0.1], [0.1, 0.9])),  # the wrong word fires first and masks the right one
    (1, "bob", stream([0.1, 0.1], [0.1, 0.9])),  # detected
    (OTHER_WORD, "bob", stream([0.1, 0.7], [0.1, 0.1])),  # a wrong word
    (OTHER_WORD, None, stream([0.1, 0.1], [0.1, 0.1])),
    (SILENT, None, stream([0.9, 0.1], [0.1, 0.1])),  # neither a miss nor a wrong word
)


def at(threshold, clips: HeardClips = TWO_WORDS, sounds: list[Background] | None = None, trigger=AT_ONCE):
    return measure(clips, sounds or [], threshold, trigger, np.random.default_rng(0), threshold_from="a test")


def test_each_kind_of_error_is_counted_over_its_own_clips() -> None:
    found = at(0.6)
    assert (found.frr, found.n) == (0.5, 4)
    assert found.detected.tolist() == [True, False, False, True]
    assert found.speakers == ("ann", "ann", "bob", "bob")
    assert found.wrong_word == ClipRate(2 / 6, 2, 6)
    assert found.silence == ClipRate(1.0, 1, 1)
    assert found.frr_ci95.method == "bootstrap over 2 speakers"
    assert found.false_alarms is None and found.backgrounds == {}


def test_without_a_refractory_time_the_right_word_still_fires() -> None:
    found = at(0.6, trigger=Trigger(0.0, 0.0))
    assert found.detected.tolist() == [True, False, True, True]


def test_each_keyword_may_have_its_own_threshold() -> None:
    assert at({"a": 0.35, "b": 0.95}).detected.tolist() == [True, True, False, False]
    assert at({"b": 0.05, "a": 0.95}).detected.tolist() == [False, False, True, True]


def test_one_keyword_cannot_be_a_wrong_word_on_its_own_clips() -> None:
    own = heard((0, None, stream([0.9])), (0, None, stream([0.1])))
    assert at(0.6, own).wrong_word is None and at(0.6, own).silence is None
    more = heard((0, None, stream([0.9])), (OTHER_WORD, None, stream([0.7])))
    assert at(0.6, more).wrong_word == ClipRate(1.0, 1, 1)


def test_background_is_counted_per_hour_and_by_source() -> None:
    talk = Background("talk", [stream([0.9, 0.0], [0.0, 0.0], seconds=1800.0)] * 2)
    rain = Background("rain", [stream([0.0, 0.0], [0.0, 0.7], seconds=3600.0)])
    found = at(0.6, sounds=[talk, rain])
    assert found.false_alarms is not None
    assert (found.false_alarms.count, found.false_alarms.hours, found.false_alarms.per_hour) == (3, 2.0, 1.5)
    assert found.false_alarms.ci95.low < 1.5 < found.false_alarms.ci95.high
    assert {name: alarms.per_hour for name, alarms in found.backgrounds.items()} == {"talk": 2.0, "rain": 1.0}


def test_no_keyword_clips_are_refused() -> None:
    for clips in (heard(), heard((OTHER_WORD, None, stream([0.5])))):
        with pytest.raises(InputError, match="no clips of the keywords"):
            at(0.6, clips)
        with pytest.raises(InputError, match="no clips of the keywords"):
            tradeoff(clips, [], AT_ONCE)


ROWS = st.lists(
    st.lists(st.integers(0, 10).map(lambda n: n / 10), min_size=2, max_size=2), min_size=1, max_size=12
)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(-2, 1), ROWS), min_size=1, max_size=6), st.lists(ROWS, max_size=3))
def test_the_curve_goes_through_every_operating_point(clips, sounds) -> None:
    clips = [(0, ROWS_WITH_A_WORD), *clips]
    trigger = Trigger(0.2, 0.3)
    spoken = heard(*((keyword, None, stream(*rows)) for keyword, rows in clips))
    backgrounds = [Background("b", [stream(*rows, seconds=900.0) for rows in sounds])] if sounds else []
    curve = tradeoff(spoken, backgrounds, trigger)
    assert (np.diff(curve.thresholds) > 0).all()
    for index, threshold in enumerate(curve.thresholds):
        pairs = zip(spoken.streams, spoken.keyword, strict=True)
        missed = [k not in {e.keyword for e in events_of(s, threshold, trigger)} for s, k in pairs if k >= 0]
        assert curve.frr[index] == pytest.approx(sum(missed) / len(missed))
        if backgrounds:
            assert curve.false_alarms_per_hour is not None
            count = false_alarms(backgrounds[0].streams, threshold, trigger)
            assert curve.false_alarms_per_hour[index] == pytest.approx(count / (0.25 * len(sounds)))
    if backgrounds:
        assert curve.false_alarms_per_hour is not None and curve.false_alarms_per_hour[-1] == 0
    else:
        assert curve.false_alarms_per_hour is None


ROWS_WITH_A_WORD = [[0.2, 0.1], [0.8, 0.1], [0.9, 0.3]]


def test_peaks_are_those_of_right_and_of_wrong_keywords() -> None:
    curve = tradeoff(TWO_WORDS, [], AT_ONCE)
    assert curve.own_peaks == pytest.approx([0.9, 0.4, 0.9, 0.9])
    assert curve.other_peaks == pytest.approx([0.1, 0.2, 0.8, 0.1, 0.7, 0.1])
