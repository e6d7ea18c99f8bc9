"""Shows on a terminal how listening goes: loudness and score of what has no end, a progress bar for files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from kwsctl.cli import console
from kwsctl.progress import Progress, silent

if TYPE_CHECKING:
    from kwsctl.streaming.listen import Level

SHOWN_EVERY_S = 0.1
SILENT_DB = -70.0
BAR = 20


@contextlib.contextmanager
def shown(where: str) -> Iterator[tuple[Callable[[Level], None] | None, Progress]]:
    """Shows how it is going while the block runs.

    Args:
        where: the value of `--input`.

    Yields:
        What to tell of levels, None if nobody looks, and of progress.
    """
    if where not in ("mic", "-"):
        with console.progress_bar("Listening") as progress:
            yield None, progress
        return
    if not console.on_terminal():
        yield None, silent
        return
    with console.live_line() as line:
        shown_s = -SHOWN_EVERY_S

        def tell(level: Level) -> None:
            nonlocal shown_s
            if level.time_s - shown_s >= SHOWN_EVERY_S:
                shown_s = level.time_s
                line(drawn(level))

        yield tell, silent


def drawn(level: Level) -> Text:
    """Draws one line.

    Args:
        level: loudness and score.

    Returns:
        Time, a bar of loudness and one of the score; dim while the network rests.
    """
    loud = min(1.0, max(0.0, 1 - level.loudness_db / SILENT_DB))
    minutes, seconds = divmod(int(level.time_s), 60)
    return Text.assemble(
        ("● " if level.awake else "○ ", "green" if level.awake else "dim"),
        f"{minutes}:{seconds:02d}  ",
        (f"{level.loudness_db:4.0f} dB ", "dim"),
        ("█" * round(BAR * loud)).ljust(BAR, "·"),
        ("  score ", "dim"),
        (("█" * round(BAR * level.score)).ljust(BAR, "·"), "" if level.awake else "dim"),
        f" {level.score:.2f}",
    )
