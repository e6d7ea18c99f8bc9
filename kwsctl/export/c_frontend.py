"""The front end in C99 without dependencies: for a DSP that listens before anything else is awake.

One frame at a time, in single precision but for the transform, whose rounding errors would otherwise reach
the quiet bands. The tables are those of `frontend.tables`; only one turn of a cosine and the edges of the
bands are stored. It is written to be read and checked against, not to be fast: a product would have an FFT in
its place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kwsctl.export.frontend import tables
from kwsctl.features.logmel import POWER_FLOOR
from kwsctl.types import FeatureSpec

PER_LINE = 8
CODE = """
/* samples: KWS_WINDOW of them, in [-1, 1]; features: KWS_BANDS, log-mel energies. */
void kws_frame(const float *samples, float *features) {
  double power[KWS_BINS];
  for (int bin = 0; bin < KWS_BINS; ++bin) {
    double real = 0.0, imaginary = 0.0;
    int angle = 0;
    for (int n = 0; n < KWS_WINDOW; ++n) {
      const double windowed = samples[n] * kws_hann[n];
      real += windowed * kws_cosine[angle];
      /* a sine is a cosine a quarter of a turn earlier; a turn has KWS_TURN steps */
      imaginary += windowed * kws_cosine[(angle + KWS_TURN - KWS_TURN / 4) % KWS_TURN];
      angle = (angle + 4 * (KWS_FIRST_BIN + bin)) % KWS_TURN;
    }
    power[bin] = real * real + imaginary * imaginary;
  }
  const float *weight = kws_weights;
  for (int band = 0; band < KWS_BANDS; ++band) {
    double sum = 0.0;
    for (int bin = kws_band_first[band]; bin < kws_band_last[band]; ++bin) sum += *weight++ * power[bin];
    features[band] = logf((float)sum + KWS_FLOOR);
  }
}

/* Maps n_samples to frames, KWS_BANDS numbers each; gives how many. Keep the last samples, from
   frames * KWS_HOP on, and put the next ones behind them: a stream then has the same numbers. */
int kws_frames(const float *samples, int n_samples, float *features) {
  int frames = 0;
  for (int at = 0; at + KWS_WINDOW <= n_samples; at += KWS_HOP) {
    kws_frame(samples + at, features + KWS_BANDS * frames);
    ++frames;
  }
  return frames;
}
"""


def source(spec: FeatureSpec) -> str:
    """Writes the C file.

    Args:
        spec: window, hop and mel bands.

    Returns:
        C99, to be compiled with the mathematics library.

    Raises:
        InputError: an odd window, or mel bands that hold no bin.
    """
    known = tables(spec)
    first, last = int(known.bins[0]), int(known.bins[-1])
    bands = np.zeros((len(known.bands), last - first + 1), np.float32)
    bands[:, known.bins - first] = known.bands
    spans = [(int(np.flatnonzero(band)[0]), int(np.flatnonzero(band)[-1]) + 1) for band in bands]
    weights = np.concatenate([band[low:high] for band, (low, high) in zip(bands, spans, strict=True)])
    turn = 4 * spec.window_samples
    cosine = np.cos(2 * np.pi * np.arange(turn) / turn)
    sizes = {
        "WINDOW": spec.window_samples, "HOP": spec.hop_samples, "BANDS": spec.mel_bins, "TURN": turn,
        "BINS": last - first + 1, "FIRST_BIN": first,
    }  # fmt: skip
    defines = [f"#define KWS_{name} {value}" for name, value in sizes.items()]
    parts = [
        f"/* Log-mel energies at {spec.sample_rate_hz} Hz: {spec.window_ms:g} ms Hann windows every "
        f"{spec.hop_ms:g} ms, {spec.mel_bins} bands. Made by kwsctl export. */",
        "#include <math.h>",
        "",
        *defines,
        f"#define KWS_FLOOR {POWER_FLOOR!r}f",
        "",
        _array("float", "kws_hann", known.window, "f"),
        _array("double", "kws_cosine", cosine, ""),
        _array("int", "kws_band_first", np.array([low for low, _ in spans]), ""),
        _array("int", "kws_band_last", np.array([high for _, high in spans]), ""),
        _array("float", "kws_weights", weights, "f"),
    ]
    return "\n".join(parts) + CODE


def _array(kind: str, name: str, values: NDArray[np.generic], suffix: str) -> str:
    digits = {"float": ".9e", "double": ".17e", "int": "d"}[kind]
    texts = [f"{value.item():{digits}}{suffix}" for value in values]
    lines = [", ".join(texts[at : at + PER_LINE]) for at in range(0, len(texts), PER_LINE)]
    body = ",\n  ".join(lines)
    return f"static const {kind} {name}[{len(texts)}] = {{\n  {body}}};"
