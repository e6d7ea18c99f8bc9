"""One engine in a process of its own: reads utterances from standard input, writes clips.

`python -m kwsctl.data.voices ENGINE`. Each line in is `{"utterance": {...}, "path": "..."}`, each
line out `{"seconds": 1.2}` or `{"rejected": "silent"}`. The engines are native code of others: one
that crashes takes only this process with it, and a library under the GPL stays out of kwsctl's own
process. It ends when its input does, so that nothing is left behind when kwsctl is killed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import soundfile

from kwsctl import registry, storage
from kwsctl.data.voices import _finishing
from kwsctl.data.voices._utterance import RATE_HZ, Speak, from_mapping


def main(engine: str) -> None:
    """Serves one engine until standard input ends.

    Args:
        engine: name of a file in this folder.
    """
    # Native libraries may write to file descriptor 1; the answers keep a private copy of it.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    speak: Speak = registry.load("kwsctl.data.voices", engine).open_engine()
    for line in sys.stdin:
        answers.write(json.dumps(_serve(speak, json.loads(line))) + "\n")
        answers.flush()


def _serve(speak: Speak, request: dict[str, Any]) -> dict[str, Any]:
    utterance = from_mapping(request["utterance"])
    raw, rate_hz = speak(utterance)
    if _finishing.saturated(raw):
        return {"rejected": "clipped by the engine"}
    samples = _finishing.finish(raw, rate_hz, formant=utterance.speaker.formant, level_db=utterance.level_db)
    reason = _finishing.fault(samples, utterance.text, speed=utterance.speed)
    if reason:
        return {"rejected": reason}
    with storage.replacing(Path(request["path"])) as temporary:
        soundfile.write(temporary, samples, RATE_HZ, format="FLAC", subtype="PCM_16")
    return {"seconds": len(samples) / RATE_HZ}


if __name__ == "__main__":
    main(sys.argv[1])
