"""Converts and runs ExecuTorch programs, in an environment that has ExecuTorch.

python xnnpack.py convert PROGRAM.pt2 FEEDS.npz w8a8|float OUT.pte
python xnnpack.py run MODEL.pte FEATURES.npy OUT.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch


def convert(program: str, feeds: str, precision: str, out: str) -> None:
    """Lowers a program to XNNPACK, quantized after training or in float."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.load(program)
    with np.load(feeds) as found:
        inputs = [torch.from_numpy(found[f"input_{i}"]) for i in range(len(found.files))]
    examples = list(zip(*inputs, strict=True))
    if precision == "w8a8":
        exported = torch.export.export(_quantized(exported.module(), examples), examples[0], strict=False)
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    Path(out).write_bytes(lowered.to_executorch().buffer)


def _quantized(module: torch.nn.Module, examples: list[tuple[torch.Tensor, ...]]) -> torch.nn.Module:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(module, quantizer)
    for example in examples:
        prepared(*example)
    converted: torch.nn.Module = convert_pt2e(prepared)
    return converted


def run(model: str, features: str, out: str) -> None:
    """Runs a model over windows [N, F, T], one at a time."""
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(Path(model)).load_method("forward")
    windows = torch.from_numpy(np.load(features))
    found = [method.execute([windows[i : i + 1]]) for i in range(len(windows))]
    outputs = [torch.cat(parts).numpy() for parts in zip(*found, strict=True)]
    np.savez(out, **{f"output_{i}": value for i, value in enumerate(outputs)})  # type: ignore[arg-type]


if __name__ == "__main__":
    convert(*sys.argv[2:]) if sys.argv[1] == "convert" else run(*sys.argv[2:])
