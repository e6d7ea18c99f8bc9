"""Says why a clip of one spoken word cannot be learned from; needs no torch, so that devices can ask, too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kwsctl.audio import vad

SHORTEST_S = 0.2
CLIPPED_SHARE = 0.002
FULL = 0.999
QUIETEST = 10 ** (-55 / 20)
SECOND_UTTERANCE_S = 0.25
LONGER_THAN_WINDOW = 1.25


def fault(samples: NDArray[np.float32], rate_hz: int, window_s: float) -> str:
    """Says why a clip cannot be used.

    Args:
        samples: [S] in [-1, 1].
        rate_hz: of the samples.
        window_s: what the model hears at once, in s.

    Returns:
        The reason, and what to do about it; empty if the clip can be used.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < QUIETEST:
        return "silent: speak louder, or check the microphone"
    if float(np.mean(np.abs(samples) >= FULL)) > CLIPPED_SHARE:
        return "clipped: move back from the microphone, or lower its gain"
    lengths = [(end - start) / rate_hz for start, end in vad.speech_spans(samples, rate_hz)]
    if not lengths:
        return "no speech stands out of the noise: record where it is quieter"
    if max(lengths) < SHORTEST_S:
        return f"too short: {max(lengths):.2f} s of speech, a keyword needs {SHORTEST_S} s or more"
    if sum(length > SECOND_UTTERANCE_S for length in lengths) > 1:
        return f"{len(lengths)} utterances: give one in each clip"
    if max(lengths) > LONGER_THAN_WINDOW * window_s:
        return f"too long: {max(lengths):.1f} s of speech, this model hears {window_s:g} s at a time"
    return ""
