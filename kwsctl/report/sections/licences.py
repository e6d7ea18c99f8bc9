"""What data a model was made of, and under which licences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kwsctl.report.material import Material
from kwsctl.report.section import Block, Rows

TITLE = "Data and licences"
PLACE = 100
FILLED_BY = "kwsctl train; kwsctl data list tells the licences of recipes"


def blocks(material: Material) -> tuple[Block, ...]:
    """Lists data and licences of all models and packages."""
    lineages = [(name, model.lineage) for name, model in material.models]
    lineages += [(one.name, one.manifest.get("lineage", {})) for one in material.packages]
    rows = dict.fromkeys(row for name, lineage in lineages for row in _rows(name, lineage))
    return (Block(rows=Rows(("Data", "Licence", "In"), tuple(rows))),) if rows else ()


def _rows(name: str, lineage: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    licences = lineage.get("licences", {})
    data = [str(one) for one in lineage.get("data", ())]
    if isinstance(licences, Mapping):
        yield from ((str(what), str(licence), name) for what, licence in licences.items())
        data = [one for one in data if one not in licences]
    elif licences:
        yield ", ".join(data), "; ".join(map(str, licences)), name
        data = []
    yield from ((one, "not told: the manifest does not say", name) for one in data)
