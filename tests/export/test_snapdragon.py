"""The HTP takes our graphs, computes them rightly on the emulator, and compiles them per chip."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest

from kwsctl.errors import DeviceError
from kwsctl.export import graphs, htp, package
from kwsctl.export.chips import CHIPS, chip, of_arch
from kwsctl.export.htp_safe import hazards, htp_safe
from kwsctl.export.quantization import quantized
from kwsctl.export.running import cpu_session, run_windows
from tests import toy_people
from tests.export.exported import exported, keyword_material, some, untrained, windows

needs_qnn = pytest.mark.skipif(bool(htp.missing()), reason="needs the extra snapdragon")


@functools.cache
def qdq(arch: str, precision: str) -> bytes:
    graph = htp_safe(graphs.window_graph(untrained(arch))).model
    return quantized(graph, list(some().feeds("features")), precision).SerializeToString()  # type: ignore[arg-type]


@needs_qnn
def test_sub_spectral_normalization_is_computed_rightly(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(qdq("bcresnet", "w8a16"))
    opened = htp.session(model, of_arch(75))
    assert set(htp.placement(opened)) == {htp.PROVIDER}
    x = windows(4, seed=3)
    on_cpu, on_htp = (run_windows(s, x)[0] for s in (cpu_session(model), opened))
    assert np.abs(on_cpu - on_htp).mean() < 0.02 * on_cpu.std()


@needs_qnn
@pytest.mark.parametrize(
    "arch",
    [
        "dscnn",
        "duet",
        "tcresnet",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("revbcresnet", "revtcnet")),
    ],
)
def test_every_other_network_is_computed_rightly_too(tmp_path: Path, arch: str) -> None:
    small = {"blocks": (1, 1, 1, 1)} if arch == "revbcresnet" else {}
    graph = htp_safe(graphs.window_graph(untrained(arch, **small))).model
    assert _apart(graph, tmp_path / "model.onnx") < 0.1


@needs_qnn
@pytest.mark.slow
def test_a_mean_over_rows_and_frames_at_once_is_destroyed_in_sixteen_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wholly on the HTP, right on the CPU, and wrong by as much as it varies: why it is rewritten."""
    raw = graphs.window_graph(untrained("revbcresnet", blocks=(1, 1, 1, 1)))
    assert any("several axes" in one for one in hazards(raw))
    assert not hazards(htp_safe(raw).model)
    monkeypatch.setattr("kwsctl.export.htp_safe._axes", lambda _: [])  # so that it is not found
    assert _apart(htp_safe(raw).model, tmp_path / "model.onnx") > 0.5


def _apart(graph: onnx.ModelProto, model: Path) -> float:
    """Gives how far the HTP is from the CPU in sixteen bits, beside how much the embedding varies."""
    model.write_bytes(quantized(graph, list(some().feeds("features")), "w8a16").SerializeToString())
    opened = htp.session(model, of_arch(75))
    assert set(htp.placement(opened)) == {htp.PROVIDER}
    x = windows(4, seed=3)
    on_cpu, on_htp = (run_windows(s, x)[0] for s in (cpu_session(model), opened))
    return float(np.abs(on_cpu - on_htp).mean() / on_cpu.std())


@needs_qnn
@pytest.mark.parametrize("name", ["qcs6490", "sm8850"])
def test_a_context_binary_reloads_and_runs(tmp_path: Path, name: str) -> None:
    model, out = tmp_path / "model.onnx", tmp_path / "context.onnx"
    model.write_bytes(qdq("dscnn", "w8a8"))
    made = htp.compile_context(model, out, chip(name))
    assert made["bytes"] == out.stat().st_size
    assert f":{CHIPS[name].htp_arch}:{CHIPS[name].soc_model}:" in made["made_for"]
    x = windows(2)
    again = run_windows(htp.session(out, chip(name)), x)[0]
    np.testing.assert_array_equal(again, run_windows(htp.session(model, chip(name)), x)[0])


@needs_qnn
def test_what_is_not_on_the_htp_is_an_error_that_names_it(tmp_path: Path) -> None:
    from kwsctl.export.frontend import frontend_graph
    from kwsctl.types import FeatureSpec

    model = tmp_path / "frontend.onnx"
    model.write_bytes(frontend_graph(FeatureSpec()).SerializeToString())
    with pytest.raises(DeviceError, match=r"frontend.onnx cannot be wholly on the HTP of sm8650"):
        htp.session(model, chip("sm8650"))


@needs_qnn
def test_the_libraries_print_nothing_on_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(qdq("dscnn", "w8a8"))
    htp.write_dlc(model, tmp_path / "model.dlc", chip("sm8650"))
    htp.session(model, chip("sm8650"))
    assert (tmp_path / "model.dlc").stat().st_size > 10_000
    assert capfd.readouterr().out == ""


@needs_qnn
@pytest.mark.slow
def test_a_whole_package_is_proven_on_two_generations(tmp_path: Path) -> None:
    found = exported(tmp_path / "out", toy_people.keyword_model(), keyword_material(), "snapdragon")
    assert set(found.backend) == {"cpu", "htp-v75", "htp-v69"}
    assert found.verified == htp.WORDING
    contexts = {name for name in found.files if name.startswith("context.")}
    assert contexts == {f"context.{part}.onnx" for part in CHIPS}
    assert {"model.dlc", "qnn_op_trace.json"} <= set(found.files)


def test_without_the_libraries_the_cpu_part_is_there_and_the_rest_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(htp.importlib.util, "find_spec", lambda name: None)
    out = tmp_path / "out"
    found = exported(out, toy_people.keyword_model(), keyword_material(), "snapdragon", stream=False)
    assert found.backend == ("cpu",)
    assert "CPU only" in found.verified
    assert "device latency and power not measured" in found.verified
    assert any("context binaries" in one and "kwsctl[snapdragon]" in one for one in found.skipped)
    assert "CPU only" in (out / package.README).read_text()
    assert not [name for name in found.files if name.startswith("context.") or name.endswith(".dlc")]
    with pytest.raises(DeviceError, match="not installed"):
        htp.session(out / "model.qdq.onnx", chip("sm8650"))
