"""A graph that the HTP would compute wrongly is found, refused, and made right."""

from __future__ import annotations

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.export import graphs
from kwsctl.export.htp_safe import hazards, htp_safe
from kwsctl.export.quantization import quantized
from kwsctl.export.running import cpu_session, run_windows
from tests.export.exported import some, untrained, windows


def test_an_export_of_bcresnet_that_was_not_rewritten_is_caught() -> None:
    raw = graphs.window_graph(untrained("bcresnet"))
    found = hazards(raw)
    assert sum("stand-alone batch normalization" in one for one in found) == 12  # one per block
    with pytest.raises(InputError, match="not safe on the HTP"):
        quantized(raw, list(some(4).feeds("features")), "w8a16")


def test_the_rewritten_graph_has_the_same_numbers() -> None:
    raw = graphs.window_graph(untrained("bcresnet"))
    safe = htp_safe(raw)
    assert safe.batch_norms == 12
    assert safe.identities > 0
    assert not any(node.op_type in ("BatchNormalization", "Identity") for node in safe.model.graph.node)
    x = windows(3)
    one, other = (run_windows(cpu_session(m), x)[0] for m in (raw, safe.model))
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("arch", "config", "rewritten", "hazard"),
    [
        ("dscnn", {}, "products", "smallest HTPs"),
        ("revbcresnet", {"blocks": (1, 1, 1, 1)}, "means", "a mean over several axes"),
    ],
)
def test_what_the_htp_cannot_do_is_found_and_becomes_something_with_the_same_numbers(
    arch: str, config: dict[str, object], rewritten: str, hazard: str
) -> None:
    raw = graphs.window_graph(untrained(arch, **config))
    safe = htp_safe(raw)
    assert getattr(safe, rewritten) == 1
    assert any(hazard in one for one in hazards(raw))
    assert not hazards(safe.model)
    x = windows(3)
    one, other = (run_windows(cpu_session(m), x)[0] for m in (raw, safe.model))
    np.testing.assert_allclose(one, other, atol=1e-5)
