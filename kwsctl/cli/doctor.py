"""`kwsctl doctor`: what is installed, what works, and the command that mends what does not."""

from __future__ import annotations

from dataclasses import dataclass

import typer
from rich.table import Table

from kwsctl.cli import console, parameters
from kwsctl.diagnosis import Finding, diagnose
from kwsctl.home import home as home_folder

COLOURS = {"works": "green", "optional": "dim", "broken": "red"}


@dataclass(frozen=True)
class Diagnosis:
    """What `kwsctl doctor` prints.

    Attributes:
        healthy: nothing is broken.
        findings: everything that was looked at.
    """

    healthy: bool
    findings: tuple[Finding, ...]


def doctor_command(home: parameters.Home = None, json: parameters.Json = False) -> None:
    """Tell what is installed, what works, and the command that mends what does not.

    Example: `kwsctl doctor`
    """
    findings = diagnose(home_folder(home), parameters.pretrained_bundle)
    healthy = all(finding.state != "broken" for finding in findings)
    console.show(Diagnosis(healthy, findings), as_json=json, render=_table)
    if not healthy:
        raise typer.Exit(console.EXIT_FAILED)


def _table(diagnosis: Diagnosis) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in diagnosis.findings:
        colour = COLOURS[finding.state]
        detail = f"{finding.detail}\n[bold]→ {finding.remedy}[/]" if finding.remedy else finding.detail
        table.add_row(f"[{colour}]{finding.state}[/]", finding.name, detail)
    return table
