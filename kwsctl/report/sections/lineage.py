"""Where each model comes from, by hashes."""

from __future__ import annotations

from collections.abc import Iterator

from kwsctl.report.material import Material, Person
from kwsctl.report.section import Block, Rows

TITLE = "Lineage"
PLACE = 90
FILLED_BY = "kwsctl train, or kwsctl enroll"


def blocks(material: Material) -> tuple[Block, ...]:
    """Lists models, packages and the links of people's profiles."""
    rows = []
    for name, model in material.models:
        of = model.lineage
        parent = str(of["parent"])[:12] if of.get("parent") else "none: it began with random weights"
        made = of.get("made_by", {}).get("method", "train")
        rows.append(
            (
                name,
                model.sha256[:12],
                parent,
                f"{made} by kwsctl {of.get('kwsctl', '?')}, seed {of.get('seed', '?')}",
            )
        )
    for one in material.packages:
        base = str(one.manifest["base_sha256"])[:12]
        rows.append(
            (
                f"{one.name} (package)",
                "",
                base,
                f"export to {one.manifest['target']}, {one.manifest['precision']}",
            )
        )
    for record in material.of("train"):
        name = str(record.facts["bundle"]).rpartition("/")[2]
        rows.append(
            (
                name,
                record.facts["sha256"][:12],
                "",
                f"train, {record.facts['epochs']} epochs, {record.time[:10]}",
            )
        )
    for person in material.people:
        rows += _links(person)
    seen: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in rows:
        seen.setdefault(row[:2], row)
    head = ("What", "sha256", "Made on", "How")
    return (Block(rows=Rows(head, tuple(seen.values()))),) if rows else ()


def _links(person: Person) -> Iterator[tuple[str, str, str, str]]:
    on = person.shown.base_sha256[:12]
    for step in person.shown.links:
        how = ", ".join(
            f"{change.get('method', 'threshold')} from {change['clips']} clips" for change in step.changes
        )
        yield (
            f"{person.shown.user}, link {step.number}",
            "",
            on,
            f"{how or 'threshold only'}, {step.saved[:10]}",
        )
        on = f"link {step.number}"
