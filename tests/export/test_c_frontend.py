"""The front end in C, compiled, has the numbers of training."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from kwsctl.export.c_frontend import source
from kwsctl.features.logmel import logmel
from kwsctl.types import FeatureSpec
from tests.toy_people import say

MAIN = """
#include <stdio.h>
int main(void) {
  static float samples[64000], features[64000];
  int n = (int)fread(samples, sizeof(float), 64000, stdin);
  int frames = kws_frames(samples, n, features);
  fwrite(features, sizeof(float), (size_t)(frames * KWS_BANDS), stdout);
  return 0;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("spec", [FeatureSpec(), FeatureSpec(window_ms=25, mel_bins=20, f_min_hz=60)])
def test_compiled_code_has_the_numbers_of_training(tmp_path: Path, spec: FeatureSpec) -> None:
    code, program = tmp_path / "frontend.c", tmp_path / "frontend"
    code.write_text(source(spec) + MAIN)
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["gcc", *flags, code, "-o", program, "-lm"], check=True)
    samples = say("031", 2)[:6_000]
    samples[3_000:] += np.sin(0.3 * np.arange(3_000)).astype(np.float32) * 0.7
    done = subprocess.run([program], input=samples.tobytes(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.float32).reshape(-1, spec.mel_bins).T
    wanted = logmel(torch.from_numpy(samples)[None], spec)[0].numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-4
