from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kwsctl.bundle import Delta
from kwsctl.errors import ProfileError
from kwsctl.personal import link
from kwsctl.personal.link import Link

SHARED = torch.arange(12.0).reshape(3, 4)
DELTA = Delta("0" * 64, {"head/weight": SHARED, "bias": SHARED[0]}, ("öffne",), 3, {"method": "prototype"})
LINK = Link("anna", 2, "2026-01-02T03:04:05+00:00", {"voice": [1, "voice"]}, (DELTA,), {"voice": SHARED[1]})
CONTENT = link.to_bytes(LINK)


def test_a_link_comes_back_as_it_was() -> None:
    back = link.from_bytes(CONTENT, "0002.link")
    assert (back.user, back.number, back.saved, back.state) == (LINK.user, 2, LINK.saved, LINK.state)
    assert back.tensors["voice"].tolist() == SHARED[1].tolist()
    (delta,) = back.deltas
    assert delta.changes["head/weight"].tolist() == SHARED.tolist()
    assert delta.changes["bias"].tolist() == SHARED[0].tolist()
    assert dataclasses.replace(delta, changes={}) == dataclasses.replace(DELTA, changes={})


def test_equal_links_have_equal_bytes_and_one_metadata_key() -> None:
    assert link.to_bytes(LINK) == CONTENT
    length = int.from_bytes(CONTENT[:8], "little")
    assert list(json.loads(CONTENT[8 : 8 + length])["__metadata__"]) == ["kwsctl"]


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found_or_changes_nothing(position: int, difference: int) -> None:
    changed = bytearray(CONTENT)
    changed[position] ^= difference
    try:
        back = link.from_bytes(bytes(changed), "0002.link")
    except ProfileError:
        return
    assert link.to_bytes(back) == CONTENT


@given(st.integers(0, len(CONTENT) - 1))
def test_a_cut_file_is_found(length: int) -> None:
    with pytest.raises(ProfileError, match=r"0002.link is damaged"):
        link.from_bytes(CONTENT[:length], "0002.link")


def test_a_newer_version_and_another_kind_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "FORMAT", 7)
    newer = link.to_bytes(LINK)
    monkeypatch.setattr(link, "FORMAT", 1)
    with pytest.raises(ProfileError, match=r"has format 7, this kwsctl reads up to 1. Upgrade"):
        link.from_bytes(newer, "0002.link")
    with pytest.raises(ProfileError, match="holds a bond, not a link"):
        link.from_bytes(CONTENT.replace(b'\\"kind\\": \\"link\\"', b'\\"kind\\": \\"bond\\"'), "0002.link")
