"""The front end as an ONNX graph: log-mel energies by two matrix products, the numbers that training saw.

Frames are cut, multiplied by the Hann window, transformed by a discrete Fourier transform as a matrix, and
summed in mel bands. The products are in double precision: a transform of many terms in single precision
spreads the rounding errors of a loud tone over the quiet bands, a thousandth in the logarithm. The matrix
consists of one turn of a cosine, looked up, so that the file is small. The graph is never quantized:
exponents and logarithms lose what quiet bands hold. It takes any number of samples, so that it serves whole
clips and, fed with the samples that a frame still lacks, a stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kwsctl.features.logmel import POWER_FLOOR, window_and_bands
from kwsctl.types import FeatureSpec

WAVES, FEATURES = "waves", "features"
OPSET = 17


@dataclass(frozen=True, eq=False)
class Tables:
    """The numbers of the front end.

    Attributes:
        window: [window] Hann window.
        bins: [K] bins of the transform that a band covers.
        bands: [F, K] weight of each bin in each band.
    """

    window: NDArray[np.float32]
    bins: NDArray[np.int64]
    bands: NDArray[np.float32]


def tables(spec: FeatureSpec) -> Tables:
    """Gives the numbers of the front end.

    Args:
        spec: window, hop and mel bands.

    Returns:
        Window, bins and bands, those of `kwsctl.features.logmel`.

    Raises:
        InputError: an odd window, or mel bands that hold no bin.
    """
    import torch

    window, doubled = window_and_bands(spec, torch.device("cpu"))
    bands = doubled[::2].numpy().T  # `doubled` has each row twice
    bins = np.flatnonzero(bands.any(axis=0))
    return Tables(window.numpy(), bins, np.ascontiguousarray(bands[:, bins]))


def frontend_graph(spec: FeatureSpec) -> onnx.ModelProto:
    """Makes the graph that maps waves [B, S] to features [B, F, T].

    Args:
        spec: window, hop and mel bands.

    Returns:
        The graph; T is `spec.frames` of S samples, which must be one window or more.

    Raises:
        InputError: an odd window, or mel bands that hold no bin.
    """
    known, size = tables(spec), spec.window_samples
    make = helper.make_node
    nodes = [
        # places [T, window]: frame t begins at sample t * hop
        make("Shape", [WAVES], ["n_samples"], start=1, end=2),
        make("Sub", ["n_samples", "last_start"], ["starts_end"]),
        make("Squeeze", ["starts_end"], ["stop"]),
        make("Range", ["zero", "stop", "hop"], ["starts"]),
        make("Unsqueeze", ["starts", "last"], ["start_column"]),
        make("Add", ["start_column", "within"], ["places"]),
        make("Gather", [WAVES, "places"], ["frames"], axis=1),
        make("Mul", ["frames", "window"], ["windowed"]),
        make("Cast", ["windowed"], ["exact"], to=TensorProto.DOUBLE),
        # the transform [window, 2 K]: cosines, then sines, which are cosines a quarter turn earlier
        make("Mul", ["sample_column", "bins"], ["turns"]),
        make("Mul", ["turns", "four"], ["quarters"]),
        make("Sub", ["quarters", "quarter_turn"], ["quarters_sine"]),
        make("Concat", ["quarters", "quarters_sine"], ["angles"], axis=1),
        make("Mod", ["angles", "full_turn"], ["angle"]),
        make("Gather", ["cosine", "angle"], ["transform"]),
        make("MatMul", ["exact", "transform"], ["spectrum"]),
        make("Mul", ["spectrum", "spectrum"], ["squares"]),
        make("Cast", ["bands"], ["bands_exact"], to=TensorProto.DOUBLE),
        make("MatMul", ["squares", "bands_exact"], ["power_exact"]),
        make("Cast", ["power_exact"], ["power"], to=TensorProto.FLOAT),
        make("Add", ["power", "floor"], ["floored"]),
        make("Log", ["floored"], ["by_frame"]),
        make("Transpose", ["by_frame"], [FEATURES], perm=[0, 2, 1]),
    ]
    steps = np.arange(4 * size)  # of a quarter of the transform's own, so that sines are among them
    constants = {
        "zero": np.array(0), "hop": np.array(spec.hop_samples), "last": np.array([1]),
        "last_start": np.array([size - 1]), "within": np.arange(size), "window": known.window,
        "sample_column": np.arange(size)[:, None], "bins": known.bins[None], "four": np.array(4),
        "quarter_turn": np.array(size), "full_turn": np.array(4 * size),
        "cosine": np.cos(2 * np.pi * steps / (4 * size)),
        "bands": np.concatenate([known.bands, known.bands], axis=1).T, "floor": np.float32(POWER_FLOOR),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "frontend",
        [helper.make_tensor_value_info(WAVES, TensorProto.FLOAT, ["B", "S"])],
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["B", spec.mel_bins, "T"])],
        [numpy_helper.from_array(np.ascontiguousarray(v), name) for name, v in constants.items()],
    )
    return checked(graph, OPSET)


def checked(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    """Makes a model of a graph, in the format that runtimes of recent years read, and checks it.

    Args:
        graph: the graph.
        opset: version of the operators.

    Returns:
        The model.
    """
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="kwsctl", ir_version=9
    )
    onnx.checker.check_model(model, full_check=True)
    return model
