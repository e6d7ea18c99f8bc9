"""What a reader should know before quoting a figure, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.evaluation.answers import Answers
from kwsctl.evaluation.detection import BudgetThreshold
from kwsctl.evaluation.operating_point import Detection
from kwsctl.types import Clip


def caveats(
    bundle: Bundle,
    store: ClipStore,
    clips: Sequence[Clip],
    answers: Answers,
    budget: BudgetThreshold | None,
    detection: Detection | None,
) -> tuple[str, ...]:
    """Collects what weakens the figures.

    Args:
        bundle: the model.
        store: where the clips are from.
        clips: that were scored.
        answers: right and wrong ones.
        budget: the threshold for the budget; None without background audio.
        detection: the operating point; None if there is no threshold.

    Returns:
        Sentences, the gravest first; empty if there is nothing to say.
    """
    found = [
        *_about_training(bundle, clips),
        *_about_clips(store, clips, answers),
        *_about_background(bundle, budget, detection),
    ]
    return tuple(found)


def _about_training(bundle: Bundle, clips: Sequence[Clip]) -> list[str]:
    speakers = {clip.speaker for clip in clips if clip.speaker is not None}
    if not speakers:
        return []
    trained_on = bundle.lineage.get("speakers")
    if trained_on is None:
        return ["The bundle does not say whose voices it was trained on: these speakers may be among them."]
    both = sorted(speakers & set(trained_on))
    if not both:
        return []
    named = ", ".join(both[:5]) + (" and more" if len(both) > 5 else "")
    return [
        f"{len(both)} of {len(speakers)} speakers are in the training data ({named}): "
        "the figures are better than strangers would see."
    ]


def _about_clips(store: ClipStore, clips: Sequence[Clip], answers: Answers) -> list[str]:
    found = []
    n_unnamed = sum(clip.speaker is None for clip in clips)
    if n_unnamed:
        found.append(
            f"{n_unnamed} of {len(clips)} clips do not name their speaker: these voices may be in the "
            "training data, and intervals over clips may be too narrow."
        )
    if answers.n_excluded:
        found.append(
            f"{answers.n_excluded} clips are of words that the model has no label for; "
            "accuracy leaves them out."
        )
    if store.rejected:
        first = store.rejected[0]
        found.append(
            f"{len(store.rejected)} clips of the manifest could not be used. The first: {first.reason}"
        )
    return found


def _about_background(
    bundle: Bundle, budget: BudgetThreshold | None, detection: Detection | None
) -> list[str]:
    if budget is None:
        remedy = "give continuous audio without keywords with --background."
        if detection is None:
            return [f"No operating point and no false alarms per hour: {remedy}"]
        return [f"No false alarms per hour: {remedy}"]
    found = []
    if not budget.long_enough:
        provable = budget.provable_per_hour
        shown = f"{provable:.2g}" if provable < 10 else f"{provable:.0f}"
        found.append(
            f"{budget.hours:.2g} h of background audio cannot prove {budget.budget_per_hour:g} false alarms "
            f"per hour: none at all in so long only shows fewer than {shown} per hour "
            "(95 % confidence)."
        )
    if budget.threshold > 1:
        found.append(
            f"No threshold keeps to {budget.budget_per_hour:g} false alarms per hour: "
            "the model gives the highest score there is to some background."
        )
    return found
