"""Profiling on a device in the cloud asks for consent, the client and a token before anything is sent."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from kwsctl.errors import DeviceError, InputError
from kwsctl.export import hub

DEVICE = "Samsung Galaxy S24"


def client(monkeypatch: pytest.MonkeyPatch, *, token: bool) -> types.ModuleType:
    """Puts a client in the place of qai_hub that keeps what it is told and sends nothing."""
    module = types.ModuleType("qai_hub")
    inner = types.ModuleType("qai_hub.client")

    class Client:
        @property
        def config(self) -> str:
            if not token:
                raise RuntimeError("┌────┐\n| client.ini not found. |\n└────┘")
            return "a token"

    inner.Client = Client  # type: ignore[attr-defined]
    module.client = inner  # type: ignore[attr-defined]
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "qai_hub", module)
    monkeypatch.setitem(sys.modules, "qai_hub.client", inner)
    return module


def test_without_consent_nothing_is_sent() -> None:
    with pytest.raises(InputError, match="uploads the model to Qualcomm's cloud") as told:
        hub.check(DEVICE, consent=False)
    assert "--consent-to-upload" in str(told.value.hint)


def test_without_the_client_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DeviceError, match="not installed") as told:
        hub.check(DEVICE, consent=True)
    assert "qai-hub" in str(told.value.hint)


def test_without_a_token_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, token=False)
    with pytest.raises(DeviceError, match=r"no token: client\.ini not found") as told:
        hub.check(DEVICE, consent=True)
    assert "API token" in str(told.value.hint)


def test_with_a_token_the_answers_of_the_device_are_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module, asked = client(monkeypatch, token=True), {}
    on_cpu = np.ones((3, 4), np.float32)

    def compiled(model: str, device: object, name: str, options: str) -> object:
        asked["options"] = options
        return types.SimpleNamespace(wait=lambda: None, get_target_model=lambda: "compiled", url="c")

    def ran(target: str, device: object, inputs: dict[str, list[np.ndarray]], profile: bool) -> object:
        asked["windows"] = len(inputs["features"])
        return types.SimpleNamespace(
            url="https://job",
            download_output_data=lambda: {"embedding": [np.full((1, 4), 1.5)] * 3},
            download_profile=lambda: {"execution_summary": {"estimated_inference_time": 310}},
        )

    module.Device = str  # type: ignore[attr-defined]
    module.submit_compile_job, module.submit_inference_job = compiled, ran  # type: ignore[attr-defined]
    features = np.zeros((3, 40, 98), np.float32)
    found = hub.profile(tmp_path / "model.onnx", features, on_cpu, DEVICE, consent=True)
    assert asked == {"options": "--target_runtime qnn_context_binary", "windows": 3}
    assert (found.latency_us, found.error_cpu) == (310, 0.5)
