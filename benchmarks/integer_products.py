"""Products of whole numbers in int8 beside floating point, alone and within a training step.

    python benchmarks/integer_products.py

First the matrix products of the layers of TC-ResNet8 at a batch of 128 clips and at one clip, and of larger
layers: float32, `torch._int_mm`, and onnxruntime's `MatMulInteger`. All sums are checked to be the same. Then
whole training steps: full precision, quantized with whole numbers in float32, and quantized in int8.
Times are CPU seconds of one thread, the least of several, as ratios to float32 in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch.nn import functional as fn

from kwsctl import architecture
from kwsctl.learning import quantized
from kwsctl.learning.precision import Quantization
from kwsctl.learning.traffic import Bits

PRODUCTS = {  # rows, terms in a sum, columns
    "stem, 128 clips": (128 * 98, 120, 16),
    "blocks.0.conv_a, 128 clips": (128 * 49, 144, 24),
    "blocks.2.conv_b, 128 clips": (128 * 13, 432, 48),
    "stem, 1 clip": (98, 120, 16),
    "blocks.2.conv_b, 1 clip": (13, 432, 48),
    "pointwise 256, 12,544 places": (12544, 256, 256),
    "linear 1024, 1,024 rows": (1024, 1024, 1024),
}
STEPS = (("tcresnet", {}), ("dscnn", {}), ("revtcnet", {"keeping": "everything"}))


def least(work: Callable[[], Any], repeats: int) -> float:
    """Gives the least CPU seconds of several calls."""
    work()
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def onnx_product(k: int) -> onnxruntime.InferenceSession:
    """Makes a session that multiplies int8 matrices."""
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.INT8, s) for n, s in (("a", ["m", k]), ("b", [k, "n"]))
    ]
    total = helper.make_tensor_value_info("total", TensorProto.INT32, ["m", "n"])
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["total"])], "product", inputs, [total]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def product(name: str, shape: tuple[int, int, int], repeats: int) -> dict[str, Any]:
    """Compares one product."""
    m, k, n = shape
    draw = torch.Generator().manual_seed(0)
    a = torch.randint(-128, 128, (m, k), dtype=torch.int8, generator=draw)
    b = torch.randint(-127, 128, (k, n), dtype=torch.int8, generator=draw)
    session, feed = onnx_product(k), {"a": a.numpy(), "b": b.numpy()}
    exact = (a.double() @ b.double()).int()
    assert torch.equal(torch._int_mm(a, b), exact)
    assert np.array_equal(session.run(None, feed)[0], exact.numpy())
    x, y = a.float(), b.float()
    calls = max(1, int(4e-3 * 4e9 / (m * k * n)))  # a clock tick is longer than a small product

    def many(work: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: [work() for _ in range(calls)]

    full = least(many(lambda: x @ y), repeats)
    return {
        "product": name,
        "float32_us": round(1e6 * full / calls, 1),
        "int_mm_ratio": round(full / least(many(lambda: torch._int_mm(a, b)), repeats), 2),
        "onnxruntime_ratio": round(full / least(many(lambda: session.run(None, feed)), repeats), 2),
    }


def step(arch: str, config: dict[str, Any], batch: int, repeats: int) -> dict[str, Any]:
    """Compares one training step."""
    x = torch.randn(batch, 40, 98, generator=torch.Generator().manual_seed(0))
    target = torch.arange(batch) % 40
    taken = {}
    for arithmetic in ("full", "simulated", "integer"):
        torch.manual_seed(0)
        network = architecture.build(arch, config, 40, 40)
        if arithmetic != "full":
            quantized.quantize(network, Bits(), Quantization(arithmetic=arithmetic))  # type: ignore[arg-type]
        taken[arithmetic] = least(lambda net=network: fn.cross_entropy(net(x), target).backward(), repeats)  # type: ignore[misc]
    return {
        "step": f"{arch}, {batch} clips",
        "full_ms": round(1e3 * taken["full"], 2),
        "simulated_ratio": round(taken["full"] / taken["simulated"], 2),
        "integer_ratio": round(taken["full"] / taken["integer"], 2),
        "integer_over_simulated": round(taken["simulated"] / taken["integer"], 2),
    }


def main() -> None:
    """Prints one JSON line for each product and each step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name, shape in PRODUCTS.items():
        print(json.dumps(product(name, shape, chosen.repeats)), flush=True)
    for arch, config in STEPS:
        for batch in (128, 1):
            print(json.dumps(step(arch, config, batch, max(3, chosen.repeats // 2))), flush=True)


if __name__ == "__main__":
    main()
