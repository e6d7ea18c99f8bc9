"""What `kwsctl federate deploy` shows: what to type, and where."""

from __future__ import annotations

from rich.console import Group
from rich.text import Text

from kwsctl.federated.flower.deployment import Deployment


def deployment_page(made: Deployment) -> Group:
    """Lays out the commands of a deployment.

    Args:
        made: of `kwsctl.federated.flower.deployment.deploy`.

    Returns:
        Plain lines that can be copied.
    """
    lines = [
        Text(f"Written to {made.folder}; the same is in COMMANDS.md there.", style="bold"),
        Text("\nOn the server, where kwsctl[flower] is installed:", style="bold"),
        *map(Text, made.server),
        Text("\nOn each device, in its folder of devices/:", style="bold"),
        *map(Text, made.on_device),
    ]
    return Group(*lines)
