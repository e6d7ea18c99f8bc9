"""`kwsctl bench verification`: what ways to learn who speaks are worth, and what they give away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kwsctl.bench import verification_attacks, verification_scale
from kwsctl.bench.verification_people import Spoken, folds, joined_words, one_word, pieces
from kwsctl.bench.verification_trials import Played, every, federation, played, pooled
from kwsctl.bundle import Bundle
from kwsctl.errors import InputError
from kwsctl.federated.verification import Heard
from kwsctl.progress import Progress, silent
from kwsctl.verification.codes import CODES
from kwsctl.verification.options import VerificationOptions
from kwsctl.verification.thresholds import Figures, UserTrials, figures, roc

METHODS = ("softmax", "feduv", "fedua", "hadamard", "fedaws", "none")
TABLES = ("methods", "lengths", "pooling", "keyword", "attacks", "scale")
TITLES = {
    "methods": "Clips of joined words: others let in (FPR) where so many own clips are (TPR)",
    "lengths": "FedUV by length of the code",
    "pooling": "Several clips taken together, FedUV",
    "keyword": "One keyword, FedUV: impostors who say it, and who say something else",
    "attacks": "Attacks",
    "scale": "Simulated users: a test of scale, not of how different people are",
}


@dataclass(frozen=True)
class VerificationBenchOptions:
    """What is tried.

    Attributes:
        tables: which, of methods, lengths, pooling, keyword, attacks and scale.
        rounds: of a federation; every user takes part in each.
        seeds: federations of each kind, each with other people left out.
        held_out: people left out of each.
        length: bits of a code.
        words: joined to one clip.
        keywords: tried in the table `keyword`, spread over the list.
        scale_users: simulated users.
        scale_rounds: rounds of these, 1 % of the users in each.
    """

    tables: tuple[str, ...] = TABLES
    rounds: int = 60
    seeds: int = 3
    held_out: int = 6
    length: int = 127
    words: int = 2
    keywords: int = 3
    scale_users: int = 1000
    scale_rounds: int = 1500

    def __post_init__(self) -> None:
        unknown = set(self.tables) - set(TABLES)
        if unknown:
            raise InputError(f"There is no table {sorted(unknown)[0]!r}.", f"Use {', '.join(TABLES)}.")


@dataclass(frozen=True)
class VerificationBench:
    """What was found.

    Attributes:
        tables: rows by name of the table.
        titles: of the tables.
        curves: by method, rates of false and of true accepts on further clips.
        participants: in each federation.
        seeds: federations of each kind.
        impostors: further people, who took no part anywhere.
    """

    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    titles: Mapping[str, str]
    curves: Mapping[str, tuple[list[float], list[float]]] = field(repr=False)
    participants: int
    seeds: int
    impostors: int


def bench_verification(
    people: Spoken,
    readers: Spoken | None,
    encoder: Bundle,
    options: VerificationBenchOptions,
    seed: int = 0,
    progress: Progress = silent,
) -> VerificationBench:
    """Compares ways to learn who speaks.

    Args:
        people: who each say many words.
        readers: further impostors, in running speech.
        encoder: whose trunk heard them.
        options: what is tried.
        seed: of who is left out, words and codes.
        progress: counts federations.

    Returns:
        Tables and curves.

    Raises:
        InputError: too few people.
    """
    bench = _Bench(people, readers, encoder, options, seed, progress)
    made = {name: list(getattr(bench, f"table_{name}")()) for name in options.tables}
    curves = {
        how.method: tuple(part.tolist() for part in roc(_joined(one.trials(one.parts.test) for one in found)))
        for how, found in bench.known.items()
        if how.length == options.length
    }
    return VerificationBench(
        made,
        {name: TITLES[name] for name in options.tables},
        curves,
        len(bench.casts[0].names),
        options.seeds,
        0 if readers is None else len(set(readers.speakers.tolist())),
    )


class _Bench:
    """Keeps federations that several tables need."""

    def __init__(
        self,
        people: Spoken,
        readers: Spoken | None,
        encoder: Bundle,
        options: VerificationBenchOptions,
        seed: int,
        progress: Progress,
    ) -> None:
        self.people, self.encoder, self.options, self.seed = people, encoder, options, seed
        self.known: dict[VerificationOptions, list[Played]] = {}
        groups = folds(people, options.held_out, seed)
        self.left_out = [groups[n % len(groups)] for n in range(options.seeds)]
        self.casts = [
            joined_words(people, out, options.words, seed + n) for n, out in enumerate(self.left_out)
        ]
        self.readers = None if readers is None else pieces(readers, options.words, seed)
        self.done, self.progress = 0, progress

    def step(self) -> None:
        """Counts a federation."""
        self.done += 1
        self.progress(self.done, None)

    def federations(self, **how: Any) -> list[Played]:
        """Plays federations, unless they were played before."""
        wanted = VerificationOptions(**{"length": self.options.length, **how})
        if wanted not in self.known:
            self.known[wanted] = every(self.casts, self.encoder, wanted, self.options.rounds, self.step)
        return self.known[wanted]

    def table_methods(self) -> Iterator[dict[str, Any]]:
        """Compares methods on all sets of clips."""
        for method in METHODS:
            found = self.federations(method=method)
            for where, own, others in self._sets():
                yield {"method": method, **row(where, _joined(_tried(one, own, others) for one in found))}

    def _sets(self) -> list[tuple[str, str, Heard | str | None]]:
        sets: list[tuple[str, str, Heard | str | None]] = [
            ("clips learned from", "train", None),
            ("further clips", "test", None),
            ("people left out", "test", "unseen"),
        ]
        return [*sets, ("readers", "test", self.readers)] if self.readers is not None else sets

    def table_lengths(self) -> Iterator[dict[str, Any]]:
        """Compares lengths of the code."""
        for length, code in CODES.items():
            found = self.federations(method="feduv", length=length)
            about = {"bits": length, "distance": code.distance, "secret bits": code.secret_bits}
            for where, own, others in self._sets()[1:3]:
                yield {**about, **row(where, _joined(_tried(one, own, others) for one in found))}

    def table_pooling(self) -> Iterator[dict[str, Any]]:
        """Takes several clips together."""
        found = self.federations(method="feduv")
        for count in (1, 3, 5):
            tried = _joined(pooled(one, one.parts.test, count) for one in found)
            yield {"clips": count, **row("further clips", tried)}

    def table_keyword(self) -> Iterator[dict[str, Any]]:
        """Tries one keyword, with impostors who say it and who say something else."""
        words = np.unique(self.people.words)
        chosen = [str(words[i * len(words) // self.options.keywords]) for i in range(self.options.keywords)]
        tried: dict[str, list[UserTrials]] = {"say it": [], "say other words": [], "left out, say it": []}
        how = VerificationOptions(length=self.options.length)
        for n, word in enumerate(chosen):
            out = self.left_out[n % len(self.left_out)]
            parts, other_words = one_word(self.people, out, word, self.seed)
            one = played(self.encoder, parts, federation(how, self.options.rounds), self.seed + n)
            self.step()
            tried["say it"] += one.trials(parts.test)
            tried["say other words"] += one.trials(parts.test, other_words)
            tried["left out, say it"] += one.trials(parts.test, parts.unseen)
        for who, found in tried.items():
            yield {"words": ", ".join(chosen), **row(f"impostors {who}", found)}

    def table_attacks(self) -> Iterator[dict[str, Any]]:
        """Lets a server and a thief of recordings try."""
        for method in ("fedaws", "feduv"):
            yield from verification_attacks.crafted(
                self.federations(method=method)[0], self.encoder, self.seed
            )
        yield from verification_attacks.inversion(self.federations(method="feduv")[0], self.seed)
        yield from verification_attacks.replayed(self.federations(method="feduv"))

    def table_scale(self) -> Iterator[dict[str, Any]]:
        """Plays a federation of many simulated users."""
        yield verification_scale.scale(
            self.casts[0],
            self.encoder,
            self.options.scale_users,
            self.options.scale_rounds,
            self.options.length,
            self.seed,
        )


def _tried(one: Played, own: str, others: Heard | str | None) -> list[UserTrials]:
    strange = getattr(one.parts, others) if isinstance(others, str) else others
    return one.trials(getattr(one.parts, own), strange)


def _joined(found: Iterator[list[UserTrials]]) -> list[UserTrials]:
    return [trial for some in found for trial in some]


def row(where: str, tried: Sequence[UserTrials]) -> dict[str, Any]:
    """Writes figures as a row of a table.

    Args:
        where: on what.
        tried: trials of all users.

    Returns:
        Columns.
    """
    found: Figures = figures(tried)

    def told(share: Any) -> str:
        return f"{100 * share.mean:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})"

    columns = {"on": where}
    columns |= {f"FPR at TPR {float(rate):.0%}": told(share) for rate, share in found.fpr.items()}
    columns["EER"] = told(found.eer)
    if found.warm_up_tpr is not None and found.warm_up_fpr is not None:
        columns["at the warm-up's threshold TPR / FPR"] = (
            f"{100 * found.warm_up_tpr.mean:.1f} / {100 * found.warm_up_fpr.mean:.1f}"
        )
    columns["users, own, others"] = f"{found.users}, {found.own}, {found.others}"
    return columns
