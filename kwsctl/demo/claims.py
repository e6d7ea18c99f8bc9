"""What the talk claims about on-device learning, held against what the demo has just measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kwsctl.demo.week import Heard
from kwsctl.report.federate_table import size
from kwsctl.report.wording import percent

A_CROWD = 100
"""Clients from which an epsilon protects anybody: its delta has to be far below one in their number."""


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        claim: in a few words.
        measured: what the demo saw; for what it does not measure, the command that does.
        met: whether that bears the claim out; None where it is not measured here.
    """

    claim: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Measured:
    """Everything that the demo measured.

    Attributes:
        speaker: name of the outlier in the corpus.
        shared: the evaluation of the shared model.
        enrolled: that of the person's model after enrolment.
        adapted: that after the week.
        learned: what `kwsctl adapt` left in the ledger about updates.
        federated: of `kwsctl federate` with masks and with noise, and evaluations before and after.
        exported: report of the package, and its size.
        monday: calls heard on the day after the week, by model.
    """

    speaker: str
    shared: Mapping[str, Any]
    enrolled: Mapping[str, Any]
    adapted: Mapping[str, Any]
    learned: tuple[Mapping[str, Any], ...]
    federated: Mapping[str, Mapping[str, Any]]
    exported: Mapping[str, Any]
    monday: Mapping[str, Heard]


NOT_HERE = (
    ("Others who say it are told apart", "kwsctl bench new-words"),
    ("Training in eight bits with ranges in hindsight", "kwsctl bench quantized-training"),
    ("Networks that rebuild their activations", "kwsctl bench invertible"),
    ("Attacks, compression, peers and hierarchies", "kwsctl bench federated"),
)


def claims(found: Measured) -> tuple[Claim, ...]:
    """Holds each claim against the figures.

    Args:
        found: what was measured.

    Returns:
        All claims, also those that are not met, and those that are not measured here.
    """
    return (
        *_people(found),
        *_devices(found),
        *(Claim(name, f"not here: {how}", None) for name, how in NOT_HERE),
    )


def _people(found: Measured) -> Iterator[Claim]:
    worst = found.shared["worst_decile"]
    yield Claim(
        "Unusual voices are heard worse",
        f"worst tenth {percent(worst['rate'])}, the others {percent(worst['rest'])}",
        worst["gap"] > 0.3,
    )
    before, after = found.shared["per_speaker"][found.speaker], _share_of(found.enrolled, "heard_after")
    yield Claim(
        "A few clips make the outlier heard",
        f"{_share(before)} of calls by the shared model, {_share(after)} by the person's; other words taken "
        f"for it: {_share(_share_of(found.enrolled, 'wrong_after'))}",
        after["low"] > before["rate"],
    )
    later = _share_of(found.adapted, "heard_after")
    taken = [one for one in found.learned if one["decision"] == "taken"]
    first, then = found.monday["enrolled"], found.monday["adapted"]
    yield Claim(
        "It goes on learning from unlabelled audio",
        f"{len(taken)} updates taken, {len(found.learned) - len(taken)} rolled back; in the room "
        f"{first.detected} to {then.detected} of {then.calls} calls, "
        f"clean clips {_share(after)} to {_share(later)}",
        bool(taken) and then.detected > first.detected and later["rate"] >= after["rate"],
    )
    if taken:
        drop = taken[0]["canary"]["before"]["global_task"] - taken[-1]["canary"]["after"]["global_task"]
        yield Claim(
            "It forgets nothing", f"the global task lost {100 * drop:.1f} points on the canary", drop <= 0.01
        )
    shared, own = found.monday["shared"], found.monday["adapted"]
    yield Claim(
        "Heard live, the Monday after",
        f"{shared.detected} of {shared.calls} calls by the shared model, {own.detected} by the person's; "
        f"{own.false} other events in {own.seconds / 60:.1f} min (shared {shared.false})",
        own.detected > shared.detected and own.false <= shared.false + 1,
    )


def _devices(found: Measured) -> Iterator[Claim]:
    masked, noisy = found.federated["federated"], found.federated["noisy"]
    before, after = (found.federated[f"{when}-federation"] for when in ("before", "after"))
    asked = max(1, sum(line["asked"] for line in masked["per_round"]))
    yield Claim(
        "Many devices learn one model",
        f"{masked['clients']} simulated, {masked['rounds']} rounds, the server saw masked sums: for "
        f"{after['n_speakers']} people held out the equal error rate goes from "
        f"{percent(before['eer']['macro'])} to {percent(after['eer']['macro'])}; "
        f"{size(masked['bytes_up'] / asked)} up from a client a round",
        after["eer"]["macro"] < before["eer"]["macro"],
    )
    first, last = noisy["per_round"][0]["figure"], noisy["per_round"][-1]["figure"]
    yield Claim(
        "Their updates may be noisy",
        f"average precision {percent(first)} to {percent(last)} in {noisy['rounds']} rounds, but epsilon "
        f"{noisy['epsilon']:.0f}: {noisy['clients']} clients cannot hide among one another",
        noisy["epsilon"] < 10 and noisy["clients"] >= A_CROWD and last >= first - 0.01,
    )
    form, parity = next(iter(found.exported["parity"].items()))
    own, packed = found.monday["adapted"], found.monday["package"]
    kept, alike, wanted = _kept(parity)
    yield Claim(
        "It fits on a device, stays personal and hears the same",
        f"{size(found.exported['size_bytes'])}, {found.exported['precision']}; "
        f"{alike} {percent(kept)} on {form}, n = {parity['n']}; on Monday the package "
        f"hears {packed.detected} of {packed.calls} calls (before export {own.detected}), "
        f"{packed.false} other events",
        kept >= wanted and packed.detected >= own.detected - 1 and packed.false <= own.false + 1,
    )


def _kept(parity: Mapping[str, Any]) -> tuple[float, str, float]:
    """Says how near a form is to the float model, by what the export held against it, and how near is asked.

    An encoder's answers are those of the nearest of other words' means, which the windows do not belong to.
    """
    if parity["judged_by"] == "cosine":
        return min(parity["cosine"], parity["voice_cosine"] or 1.0), "cosine of the embeddings", 0.995
    return parity["agreement"], "same answers", 0.98


def _share_of(facts: Mapping[str, Any], name: str) -> Any:
    return facts["before_after"][0][name]


def _share(share: Mapping[str, Any] | None) -> str:
    if share is None:
        return "no clip"
    return f"{percent(share['rate'])} (n = {share['n']})"
