"""Whether the device hears what the model hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kwsctl.report import svg
from kwsctl.report.material import Exported, Material
from kwsctl.report.palette import BLUE, GREY
from kwsctl.report.section import Block, Rows
from kwsctl.report.wording import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Parity of the export"
PLACE = 80
FILLED_BY = "kwsctl export --target onnx --out PACKAGE"


def blocks(material: Material) -> tuple[Block, ...]:
    """Draws for each package what each form of it loses."""
    return tuple(_block(one, number) for number, one in enumerate(material.packages))


def _block(found: Exported, number: int) -> Block:
    forms = found.report["parity"]
    report = found.report
    told = f"{found.manifest['target']}, {report['precision']}: {report['why']}. {report['verified']}"
    skipped = report["skipped"]
    told += f" Not there: {'; '.join(skipped)}." if skipped else ""

    def draw(figure: Figure) -> None:
        _agreement(figure, forms)

    height = 1.5 + 0.45 * len(forms)
    picture = svg.inline(
        f"parity{number}", f"Agreement of {found.name} with the float model", told, draw, height
    )
    body = tuple(
        (
            form,
            str(one["n"]),
            percent(one["agreement"]),
            "-" if one["loss"] is None else f"{one['loss']:.2f} points{_interval(one['loss_ci95'])}",
            f"{one['cosine']:.5f}",
        )
        for form, one in forms.items()
    )
    head = ("Form", "Windows", "Same answer as float", "Accuracy lost", "Cosine of embeddings")
    return Block(found.name, told, picture, Rows(head, body))


def _interval(pair: Any) -> str:
    return "" if pair is None else f" ({pair[0]:.2f} to {pair[1]:.2f})"


def _agreement(figure: Figure, forms: Any) -> None:
    """Marks shares that lie close to 100 %: dots, as bars would have to begin at 0."""
    axes = figure.add_subplot()
    names = list(forms)
    lowest = 100.0
    for lift, key, colour, mark, label in (
        (-0.17, "agreement", BLUE, "o", "same answer"),
        (0.17, "cosine", GREY, "s", "cosine of embeddings"),
    ):
        values = [100 * forms[name][key] for name in names]
        places = [place + lift for place in range(len(names))]
        axes.plot(values, places, mark, color=colour, ms=6, label=label, clip_on=False)
        lowest = min(lowest, *values)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(min(95.0, lowest - 1), 100.05), ylim=(len(names) - 0.4, -0.6))
    axes.set(xlabel="beside the float model, in %")
    axes.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=2, fontsize=8.5)
