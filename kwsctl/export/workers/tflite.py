"""Converts and runs LiteRT models, in an environment that has LiteRT's converter and quantizer.

python tflite.py convert PROGRAM.pt2 FEEDS.npz w8a8|w8a16|float OUT.tflite
python tflite.py run MODEL.tflite FEATURES.npy OUT.npz
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def convert(program: str, feeds: str, precision: str, out: str) -> None:
    """Converts a program, and quantizes it after training unless it is to be float."""
    import litert_torch
    import torch

    network = torch.export.load(program).module()
    with np.load(feeds) as found:
        inputs = [found[f"input_{i}"] for i in range(len(found.files))]
    example = tuple(torch.from_numpy(value[0]) for value in inputs)
    model = litert_torch.convert(_Plain(network), example)
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "float.tflite"
        model.export(str(exact))
        if precision == "float":
            Path(out).write_bytes(exact.read_bytes())
            return
        _quantize(exact, inputs, precision, out)


def _Plain(network: Any) -> Any:  # noqa: N802  # stands for a class: torch is imported late
    """Puts an exported module, which cannot be set to evaluation, into a plain one."""
    import torch

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: torch.Tensor) -> Any:
            return self.network(*inputs)

        def train(self, mode: bool = True) -> Any:
            self.training = mode
            return self

    return Plain().eval()


def _quantize(exact: Path, inputs: list[np.ndarray[Any, Any]], precision: str, out: str) -> None:
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    rules = recipe.static_wi8_ai8() if precision == "w8a8" else recipe.static_wi8_ai16()
    signature = Interpreter(model_path=str(exact)).get_signature_list()
    name, known = next(iter(signature.items()))
    windows = [
        {argument: value[i] for argument, value in zip(known["inputs"], inputs, strict=True)}
        for i in range(len(inputs[0]))
    ]
    work = quantizer.Quantizer(str(exact), rules)
    calibrated = work.calibrate({name: windows})
    Path(out).unlink(missing_ok=True)
    work.quantize(calibrated).export_model(out)


def run(model: str, features: str, out: str) -> None:
    """Runs a model over windows [N, F, T], one at a time."""
    from ai_edge_litert.interpreter import Interpreter

    opened = Interpreter(model_path=model, num_threads=1)
    opened.allocate_tensors()
    given, told = opened.get_input_details()[0], opened.get_output_details()
    found: list[list[np.ndarray[Any, Any]]] = [[] for _ in told]
    for window in np.load(features):
        opened.set_tensor(given["index"], _stored(window[None], given))
        opened.invoke()
        for place, output in enumerate(told):
            found[place].append(_exact(opened.get_tensor(output["index"]), output))
    np.savez(out, **{f"output_{i}": np.concatenate(parts) for i, parts in enumerate(found)})  # type: ignore[arg-type]


def _stored(value: np.ndarray[Any, Any], about: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Puts numbers on the grid of a quantized input; the caller has to do that."""
    scale, zero = about["quantization"]
    if about["dtype"] == np.float32:
        return value.astype(np.float32)
    limits = np.iinfo(about["dtype"])
    codes: np.ndarray[Any, Any] = np.clip(np.round(value / scale) + zero, limits.min, limits.max)
    return codes.astype(about["dtype"])


def _exact(value: np.ndarray[Any, Any], about: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Takes numbers off the grid of a quantized output."""
    scale, zero = about["quantization"]
    if about["dtype"] == np.float32:
        return value.copy()
    exact: np.ndarray[Any, Any] = (value.astype(np.float32) - zero) * scale
    return exact.astype(np.float32)


if __name__ == "__main__":
    convert(*sys.argv[2:]) if sys.argv[1] == "convert" else run(*sys.argv[2:])
