"""What a file in `export/targets/` is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import onnx

    from kwsctl.export.chips import Chip
    from kwsctl.export.heard import Heard
    from kwsctl.export.parity import Answers, Judge
    from kwsctl.export.quantization import Feed, Precision
    from kwsctl.export.running import Runner
    from kwsctl.progress import Progress

TARGETS = "kwsctl.export.targets"


@dataclass(frozen=True, eq=False)
class Request:
    """What is exported, and how it is to be judged.

    Attributes:
        graph: of one window, in float, safe on the HTP.
        rewritten: batch normalizations that were rewritten for that.
        feeds: inputs of the calibration.
        chips: to compile for.
        judge: head and thresholds.
        heard: windows to verify on; as many as an emulator is to run.
        exact: what the float model says of them.
        progress: called with steps done.
    """

    graph: onnx.ModelProto = field(repr=False)
    rewritten: int
    feeds: Sequence[Feed] = field(repr=False)
    chips: tuple[Chip, ...]
    judge: Judge
    heard: Heard
    exact: Answers
    progress: Progress


@dataclass(frozen=True)
class Extras:
    """What a target adds to a package.

    Attributes:
        verified: what was verified, in words.
        skipped: what was not made or verified, and how to get it.
        facts: figures for the report, as JSON-able values.
    """

    verified: str
    skipped: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class Target(Protocol):
    """A file in `export/targets/`.

    Attributes:
        SUMMARY: one line on what it is for.
        MODEL: name of the model file.
        STREAMS: whether the streaming form can be taken there, too.
        PRECISIONS: that it can have, those that `auto` tries in their order; `float` is never tried.
    """

    SUMMARY: str
    MODEL: str
    STREAMS: bool
    PRECISIONS: tuple[Precision, ...]

    def missing(self) -> str:
        """Says what keeps the target from being verified on this machine; empty if nothing does."""

    def convert(
        self, graph: onnx.ModelProto, feeds: Sequence[Feed], precision: Precision, wide: Sequence[str]
    ) -> bytes:
        """Makes the model file of a float graph."""

    def runners(self, model: Path) -> Mapping[str, Runner]:
        """Gives the ways in which this machine can run a model file; `cpu` is among them."""

    def verify(self, request: Request, model: Path) -> Mapping[str, Any]:
        """Proves what parity alone does not show, or raises a ParityError."""

    def extras(self, request: Request, model: Path, folder: Path) -> Extras:
        """Adds the target's own files to a package."""
