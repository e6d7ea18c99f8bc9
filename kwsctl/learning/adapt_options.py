"""How to adapt."""

from __future__ import annotations

from dataclasses import dataclass, field

from kwsctl.errors import InputError
from kwsctl.learning.canary import Tolerances
from kwsctl.learning.enrolment_cost import check_tunes
from kwsctl.learning.precision import FULL, Quantization
from kwsctl.learning.votes import Votes

AUTO = "auto"


@dataclass(frozen=True)
class AdaptOptions:
    """How to adapt.

    Attributes:
        method: adapter of enrolment, file in `learning/forward/`, or `threshold`. `auto` is `head` in a loud
            room, and in quiet where one or two clips were enrolled and the stream gave calls; `threshold`
            elsewhere, where a row has no more to gain but single people's calls to lose.
        every: new positives from which an update is tried.
        most: positives that are kept.
        use_room: let enrolled clips sound in the room of the stream.
        tune_room: let the trunk learn a loud room without labels, see `kwsctl.learning.room_tuning`, and for
            `forward` `kwsctl.learning.room_regression`; methods that learn with a `precision` do not.
        ask: how many segments at most to ask the person about; only of these the audio is kept.
        environment: name of the room, for the ledger and the profile.
        guarded: let the guard roll updates back; off only to show what it is for.
        votes: limits of the votes.
        tolerances: what an update may cost.
        precision: of methods that tune the network, such as `w8a8g8`.
        quantization: how numbers are put on grids, where there is a precision.
        seed: of everything random.
    """

    method: str = AUTO
    every: int = 6
    most: int = 64
    use_room: bool = True
    tune_room: bool = True
    ask: int = 0
    environment: str = ""
    guarded: bool = True
    votes: Votes = field(default_factory=Votes)
    tolerances: Tolerances = field(default_factory=Tolerances)
    precision: str = FULL
    quantization: Quantization = field(default_factory=Quantization)
    seed: int = 0

    def __post_init__(self) -> None:
        check_tunes(self.method, self.precision)
        if self.every < 1 or self.most < self.every:
            raise InputError(
                f"Updates every {self.every} positives of at most {self.most} cannot be.",
                "Use every <= most.",
            )
