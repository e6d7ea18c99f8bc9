"""How to simulate the use of personal keywords."""

from __future__ import annotations

from dataclasses import dataclass

from kwsctl.errors import InputError

METHODS = (
    "none", "threshold", "statistics", "prototype", "prototypes", "tent", "search", "forward", "head",
    "head-without-room", "head-untuned", "head-unguarded", "bias", "lora", "full", "ewc",
    "full-unguarded", "naive-unguarded", "oracle-head", "oracle-full",
)  # fmt: skip


@dataclass(frozen=True)
class ContinualOptions:
    """How to simulate.

    Attributes:
        people: how many, each with a keyword of their own.
        draws: lives of each of them, with other keywords, clips and days: by seeds from `seed` on.
        shots: clips that are enrolled, in a quiet room.
        heard: other clips of the keyword in the stream; all that are left are the test.
        repeats: how often each of these is said in the stream, at other levels and places.
        test_repeats: how often each of the test is said, so that a person's figure is one of many calls.
        own: the person's other words in the stream.
        others: words of other people in the stream.
        impostors: calls of the keyword by other people in the stream.
        hours: of other people in the test.
        scenarios: `speaker` (a quiet room), `both` (a new room, too: noise at `snr_db`), `television` (words
            like the keyword all the time), `impostor` (somebody else says the keyword all day), `wrong`
            (30 % of the labels are turned round).
        snr_db: level of the speech over the noise.
        asked: segments in doubt that the person is asked about at the end, for `loop-asked`.
        methods: see `kwsctl.bench.life_methods.outcome`.
        seed: of everything random.
    """

    people: int = 4
    draws: int = 1
    shots: int = 1
    heard: int = 4
    repeats: int = 3
    test_repeats: int = 6
    own: int = 40
    others: int = 120
    impostors: int = 4
    hours: float = 2.0
    scenarios: tuple[str, ...] = ("speaker", "both")
    snr_db: float = 0.0
    asked: int = 5
    methods: tuple[str, ...] = METHODS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InputError(f"{self.draws} draws are none.", "Use draws >= 1.")
