"""Joins the score of the word with that of the voice, for keywords that only one person may say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Logistic regression of own calls against wrong words and impostors gives 22, which refuses impostors better
# and loses more own calls beside wrong words: benchmarks/enrolment_constants.py prints both.
VOICE_WEIGHT = 16.0
VOICE_OFFSET = 0.5  # only moves all margins; the threshold moves with it

Floats = NDArray[np.float64]


def fused(margin: Floats, voice: Floats) -> Floats:
    """Takes word and voice together.

    Args:
        margin: [N] of the word.
        voice: [N] cosines of the voice to the person's.

    Returns:
        [N] margins of both.
    """
    return margin + VOICE_WEIGHT * (np.asarray(voice) - VOICE_OFFSET)
