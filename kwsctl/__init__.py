"""kwsctl: the whole life of a personal wake word, from training to the device.

What is listed in `__all__` is what other programs may rely on. Names are imported when they are
first used, so that `import kwsctl` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOME_OF = {
    "Bundle": "kwsctl.bundle",
    "Clip": "kwsctl.types",
    "ClipStore": "kwsctl.data.store",
    "Delta": "kwsctl.bundle",
    "EvaluateOptions": "kwsctl.evaluation.options",
    "Evaluation": "kwsctl.evaluation.results",
    "FeatureSpec": "kwsctl.types",
    "KwsctlError": "kwsctl.errors",
    "Scores": "kwsctl.types",
    "StreamingLogMel": "kwsctl.features.streaming",
    "TrainOptions": "kwsctl.learning.train_options",
    "TrainResult": "kwsctl.learning.train",
    "evaluate": "kwsctl.evaluation.evaluate",
    "logmel": "kwsctl.features.logmel",
    "prepared": "kwsctl.data.prepare",
    "score_clips": "kwsctl.evaluation.scoring",
    "score_stream": "kwsctl.evaluation.scoring",
    "train": "kwsctl.learning.train",
}

__all__ = [  # found by __getattr__
    "Bundle",
    "Clip",
    "ClipStore",
    "Delta",
    "EvaluateOptions",
    "Evaluation",
    "FeatureSpec",
    "KwsctlError",
    "Scores",
    "StreamingLogMel",
    "TrainOptions",
    "TrainResult",
    "evaluate",
    "logmel",
    "prepared",
    "score_clips",
    "score_stream",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'kwsctl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
