"""What several commands of `kwsctl bench` take and say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kwsctl.cli import console, parameters

if TYPE_CHECKING:
    from kwsctl.bench.people import People
    from kwsctl.learning.stored_negatives import StoredNegatives

ONE_SITTING = "A person's repetitions of a word are mostly from one sitting: real use will be harder."
Encoder = Annotated[Path | None, typer.Option("--model", help="An encoder.", show_default="the shipped one")]
Noise = Annotated[
    float | None,
    typer.Option(
        "--snr-db",
        help="Put each person into noise of their own, so far below the speech.",
        show_default="as it is",
    ),
]
Data = Annotated[Path, typer.Option("--data", help="Manifest of people who each say the same words.")]


def people_and_negatives(
    data: Path, model: Path | None, home: Path, *, snr_db: float | None = None, seed: int = 0
) -> tuple[People, StoredNegatives]:
    """Reads the encoder, everybody's clips and the stored negatives; warns of people it has heard.

    Args:
        data: manifest of people who each say the same words.
        model: an encoder; by default the shipped one.
        home: the home folder.
        snr_db: level of everybody's speech over noise of their own; None leaves the clips as they are.
        seed: of the noises.

    Returns:
        The people as the encoder hears them, and the stored negatives.
    """
    from kwsctl import bundle
    from kwsctl.bench.people import gather, surroundings
    from kwsctl.data.prepare import prepared
    from kwsctl.learning import stored_negatives

    path = model or parameters.shipped(parameters.ENCODER)
    base = bundle.load(path)
    console.note(f"Encoder: {path.name}")
    with console.progress_bar("Preparing") as progress:
        store = prepared(data, home, progress, rate_hz=base.features.sample_rate_hz)
    known = set(base.lineage.get("speakers", ())) & {c.speaker for c in store.clips}
    if known:
        console.warn(f"The encoder has heard {len(known)} of these people: their figures are too good.")
    with console.progress_bar("Reading") as progress:
        alter = None if snr_db is None else surroundings(snr_db, seed)
        people = gather(store, base, (), progress, alter=alter)
    return people, stored_negatives.load(parameters.shipped(parameters.NEGATIVES))
