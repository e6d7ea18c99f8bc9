"""What the shell offers after a flag: names that are there, found without importing torch."""

from __future__ import annotations

from kwsctl import registry
from kwsctl.home import home


def users(incomplete: str) -> list[str]:
    """Offers people who are enrolled in the home of the environment."""
    from kwsctl.personal import folder

    place = home()
    return _beginning(folder.users(place) if place.is_dir() else (), incomplete)


def recipes(incomplete: str) -> list[str]:
    """Offers data recipes."""
    return _beginning(registry.names("kwsctl.data_recipes"), incomplete)


def architectures(incomplete: str) -> list[str]:
    """Offers architectures."""
    return _beginning(registry.names("kwsctl.models"), incomplete)


def targets(incomplete: str) -> list[str]:
    """Offers targets of an export."""
    return _beginning(registry.names("kwsctl.export.targets"), incomplete)


def adapters(incomplete: str) -> list[str]:
    """Offers methods of enrolment."""
    return _beginning(("auto", *registry.names("kwsctl.learning.adapters")), incomplete)


def aggregators(incomplete: str) -> list[str]:
    """Offers aggregators of a federation."""
    return _beginning(registry.names("kwsctl.federated.aggregators"), incomplete)


def _beginning(names: tuple[str, ...], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
