"""Microsoft Scalable Noisy Speech Dataset: its noise, from air conditioner to washer, as background.

Reads `noise_train/` and `noise_test/`. Recordings of `noise_test` that are, byte for byte, also in
`noise_train` are left out and counted in the log; the rest is `test`. A tenth of `noise_train`, by
hash, is `val`. The clean speech of the set is not used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from kwsctl.data.sources import Source
from kwsctl.data.splitting import split_by_speaker
from kwsctl.errors import SourceError
from kwsctl.storage import sha256_of
from kwsctl.types import BACKGROUND, Clip

from ._layout import audio_files, find_folder

LICENCE = "noise: CC0 (Freesound) and CC BY-SA 3.0 (DEMAND)"
CITATION = (
    "C. K. A. Reddy et al., A Scalable Noisy Speech Dataset and Online Subjective Test Framework, "
    "Interspeech 2019"
)
SUMMARY = "Noise of homes and offices at 16 kHz, as background"
SOURCES = (
    Source(
        url="https://github.com/microsoft/MS-SNSD/archive/refs/heads/master.zip",
        sha256=None,  # GitHub makes the archive anew, its bytes are not promised
        licence=LICENCE,
        citation=CITATION,
        file_name="MS-SNSD-master.zip",
    ),
)
_log = logging.getLogger(__name__)


def clips(root: Path) -> Iterator[Clip]:
    """Reads the two folders of noise.

    Args:
        root: the folder with both, or one that holds it.

    Yields:
        Whole files as `_background_`.

    Raises:
        SourceError: there is no noise to train with.
    """
    corpus = find_folder(root, "noise_train", "noise_test")
    train, test = audio_files(corpus / "noise_train"), audio_files(corpus / "noise_test")
    if not train:
        raise SourceError(f"{corpus / 'noise_train'} holds no audio.", "Unpack the archive again.")
    known = {sha256_of(path) for path in train}
    new = [path for path in test if sha256_of(path) not in known]
    if len(new) < len(test):
        _log.warning(
            "ms_snsd: left out %d test recordings that are also in noise_train", len(test) - len(new)
        )
    yield from split_by_speaker((Clip(path, BACKGROUND) for path in train), test_share=0.0)
    for path in new:
        yield Clip(path, BACKGROUND, None, "test")
