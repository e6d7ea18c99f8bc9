"""Exported graphs hear what torch hears: bundles exported in memory, packages, and packages without torch."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kwsctl.audio import files
from kwsctl.errors import BundleError, InputError
from kwsctl.evaluation.streams import Trigger
from kwsctl.export import htp, package
from kwsctl.export.listening import FRONTEND, GraphEngine, Graphs, of_bundle, of_package
from kwsctl.export.runtimes import check_runtime
from kwsctl.streaming.ear import Ear
from kwsctl.streaming.engine import Engine
from kwsctl.streaming.listener import Detection, Listener
from kwsctl.streaming.torch_engine import TorchEngine
from tests import toy_people
from tests.export.exported import encoder_package, keyword_package, untrained, windows
from tests.export.test_enrolment import WITHOUT
from tests.streaming.test_listener import RATE_HZ, THRESHOLD, stream

LISTEN = "from kwsctl.cli.app import main; main({arguments!r})"


def events(engine: Engine, threshold: float = THRESHOLD) -> list[Detection]:
    listener = Listener(engine, trigger=Trigger(0.3, 1.0), threshold=threshold)
    return listener.push(stream()) + listener.finish()


@functools.cache
def by_torch() -> list[Detection]:
    return events(TorchEngine(toy_people.keyword_model()))


def test_a_bundle_exported_in_memory_gives_the_same_events() -> None:
    found = events(GraphEngine(graphs()))
    assert [(e.time_s, e.keyword) for e in found] == [(e.time_s, e.keyword) for e in by_torch()]
    np.testing.assert_allclose([e.score for e in found], [e.score for e in by_torch()], atol=1e-3)
    assert len(found) >= 3


@functools.cache
def graphs() -> Graphs:
    return of_bundle(toy_people.keyword_model(), 16)


def in_pieces(cuts: Sequence[int]) -> list[Detection]:
    listener = Listener(GraphEngine(graphs()), trigger=Trigger(0.3, 1.0), threshold=THRESHOLD)
    found = [e for piece in np.split(stream(), sorted(cuts)) for e in listener.push(piece)]
    return found + listener.finish()


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, 28 * RATE_HZ), max_size=40))
@example(list(range(160, 28 * RATE_HZ, 160)))
@example(list(range(RATE_HZ, 28 * RATE_HZ, RATE_HZ)))
def test_pieces_of_10_ms_of_a_second_and_of_any_length_give_the_same_events(cuts: list[int]) -> None:
    assert in_pieces(cuts) == in_pieces([])
    assert len(in_pieces([])) >= 3


def test_a_package_gives_the_same_events_within_a_hop() -> None:
    engine = GraphEngine(of_package(keyword_package()))
    hop_s = engine.stride * engine.features.hop_ms / 1000
    found = events(engine)
    assert [e.keyword for e in found] == [e.keyword for e in by_torch()]
    times_s = [e.time_s for e in by_torch()]
    np.testing.assert_allclose([e.time_s for e in found], times_s, atol=hop_s + 1e-9)
    assert engine.sha256 == keyword_package().sha256


def test_the_voice_of_a_window_is_the_one_that_torch_tells() -> None:
    bundle = toy_people.encoder()
    features = windows(1, bundle.n_frames)[0]
    expected = TorchEngine(bundle).voice(features)
    np.testing.assert_allclose(GraphEngine(of_bundle(bundle, 16)).voice(features), expected, atol=1e-4)


@pytest.mark.parametrize("arch", ["dscnn", "tcresnet", "duet"])
def test_windows_have_the_same_numbers_in_every_architecture(arch: str) -> None:
    bundle = untrained(arch)
    heard = []
    for engine in (TorchEngine(bundle), GraphEngine(of_bundle(bundle, 8))):
        ear = Ear(engine, gated=False)
        heard.append(np.concatenate([h.logits for h in ear.push(stream()[: 8 * RATE_HZ])]))
    assert heard[0].shape == heard[1].shape
    settled = 2 * bundle.n_frames // ear.stride  # torch begins with nothing, the graph after silence
    np.testing.assert_allclose(heard[0][settled:], heard[1][settled:], atol=1e-3)


def test_a_package_is_listened_to_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    place = tmp_path / "stream.wav"
    files.write(place, stream(), RATE_HZ)
    told = ["listen", "--input", str(place), "--model", str(keyword_package().folder)]
    code = WITHOUT + LISTEN.format(arguments=[*told, "--threshold", str(THRESHOLD)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) >= 3
    assert {event["model"] for event in found} == {keyword_package().sha256}


def test_a_front_end_of_other_numbers_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(keyword_package().folder, tmp_path / "package"))
    opened = package.read(folder)
    from kwsctl.export.frontend import frontend_graph
    from kwsctl.types import FeatureSpec

    (folder / FRONTEND).write_bytes(frontend_graph(FeatureSpec(f_min_hz=200.0)).SerializeToString())
    with pytest.raises(BundleError, match="gives other numbers"):
        of_package(opened)


def test_runtimes_that_do_not_fit_say_what_does() -> None:
    assert check_runtime(None, packaged=True) == "onnx"
    with pytest.raises(InputError, match="no network of torch"):
        check_runtime("torch", packaged=True)
    with pytest.raises(InputError, match="not bundles") as refused:
        check_runtime("qnn", packaged=False)
    assert "--target snapdragon" in refused.value.hint
    with pytest.raises(InputError, match="no runtime 'tflite'"):
        check_runtime("tflite", packaged=True)


@pytest.mark.slow
@pytest.mark.skipif(bool(htp.missing()), reason="needs onnxruntime-qnn")
def test_the_emulator_of_the_htp_hears_what_the_cpu_hears() -> None:
    from kwsctl.export.chips import of_arch

    opened = encoder_package()
    on_cpu = GraphEngine(of_package(opened))
    on_htp = GraphEngine(of_package(opened, None, lambda path: htp.session(path, of_arch(75))))
    pooled = []
    for engine in (on_cpu, on_htp):
        ear = Ear(engine, gated=False)
        pooled.append(np.concatenate([h.embeddings for h in ear.push(stream()[: 5 * RATE_HZ])]))
    assert (pooled[0] * pooled[1]).sum(1).mean() > 0.98
