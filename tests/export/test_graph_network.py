"""A safe graph gives the same numbers as a network of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kwsctl.errors import InputError
from kwsctl.export import graphs
from kwsctl.export.graph_network import GraphNetwork
from kwsctl.export.htp_safe import htp_safe
from kwsctl.export.running import cpu_session, run_windows
from tests.export.exported import untrained, windows


@pytest.mark.parametrize("arch", ["tcresnet", "dscnn", "bcresnet", "revtcnet", "revbcresnet", "duet"])
def test_numbers_are_those_of_the_graph(arch: str) -> None:
    graph = htp_safe(graphs.window_graph(untrained(arch))).model
    x = windows(2)
    with torch.inference_mode():
        found = [GraphNetwork(graph)(torch.from_numpy(x[i : i + 1])) for i in range(len(x))]
    for place, wanted in enumerate(run_windows(cpu_session(graph), x)):
        np.testing.assert_allclose(np.concatenate([one[place] for one in found]), wanted, atol=2e-5)


def test_an_unknown_operator_is_named() -> None:
    graph = htp_safe(graphs.window_graph(untrained("tcresnet"))).model
    graph.graph.node[0].op_type = "Einsum"
    with pytest.raises(InputError, match="Einsum cannot be taken"):
        GraphNetwork(graph)
