"""Features of a training set on disk: what they hold, and that rooms change on schedule only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kwsctl.audio import files
from kwsctl.data.windows import cut, gather
from kwsctl.features.augmentation import middle
from kwsctl.features.logmel import logmel
from kwsctl.learning.rendering import Renderings
from kwsctl.types import FeatureSpec

from ..toy_words import toy_store


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory):
    store = toy_store(tmp_path_factory.mktemp("toy"))
    indices = store.where(split="val")
    return store, cut(store, indices, {"rise": 0, "fall": 1}, frozenset({"rise", "fall"}), 1.0)


def test_the_middle_is_the_features_of_the_clip(toy) -> None:
    store, windows = toy
    kept = Renderings(store, windows, FeatureSpec(), margin_frames=10)
    kept.update(0)
    expected = logmel(torch.from_numpy(gather(store, windows)), FeatureSpec())
    found = middle(kept.batch(torch.arange(len(windows))), FeatureSpec().frames(1.0))
    assert found.shape == expected.shape
    # bfloat16 keeps 8 bits: 0.4 % of the power, 0.004 of its logarithm.
    torch.testing.assert_close(found, expected, atol=0.005, rtol=0)
    kept.close()


def test_rooms_change_for_a_share_of_windows_when_they_are_due(toy) -> None:
    store, windows = toy
    kept = Renderings(store, windows, FeatureSpec(), room_share=1.0, refresh_epochs=4, seed=1)
    kept.update(0)
    before = kept.power.clone()
    kept.update(1)
    changed = (kept.power != before).flatten(1).any(1)
    assert float(changed.float().mean()) == pytest.approx(0.25, abs=0.05)
    kept.close()


def test_a_resumed_run_renders_the_same_as_one_that_was_never_interrupted(toy) -> None:
    store, windows = toy
    steady, resumed = (
        Renderings(store, windows, FeatureSpec(), room_share=0.5, refresh_epochs=3, seed=1) for _ in range(2)
    )
    for epoch in range(6):
        steady.update(epoch)
    resumed.update(0)
    resumed.update(5)
    assert torch.equal(steady.power, resumed.power)
    steady.close()
    resumed.close()


def test_windows_that_stay_out_of_rooms_are_not_rendered_again(toy, monkeypatch: pytest.MonkeyPatch) -> None:
    store, windows = toy
    rendered: list[int] = []
    render = Renderings._render

    def counted(self: Renderings, rows: np.ndarray, due_epoch: np.ndarray) -> torch.Tensor:
        rendered.append(len(rows))
        return render(self, rows, due_epoch)

    monkeypatch.setattr(Renderings, "_render", counted)
    steady, fresh = (
        Renderings(store, windows, FeatureSpec(), room_share=0.2, refresh_epochs=2, seed=1) for _ in range(2)
    )
    for epoch in range(5):
        steady.update(epoch)
    assert len(windows) < sum(rendered) < 2.2 * len(windows)  # three times if each was rendered when due
    fresh.update(4)
    assert torch.equal(steady.power, fresh.power)
    steady.close()
    fresh.close()


def test_a_window_beyond_its_clip_holds_silence(toy) -> None:
    store, windows = toy
    waves = gather(store, windows.take(np.array([0])), margin=1600)
    assert waves.shape == (1, 16_000 + 3200)
    assert not waves[0, :1600].any()
    assert not waves[0, -1600:].any()
    assert np.array_equal(waves[0, 1600:-1600], store.audio(int(windows.clip[0])) / np.float32(32768))


def test_the_file_of_features_is_removed(toy, tmp_path: Path) -> None:
    store, windows = toy
    kept = Renderings(store, windows, FeatureSpec(), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    kept.close()
    assert not list(tmp_path.iterdir())


def test_recorded_rooms_are_used_where_they_are_given(toy, tmp_path: Path) -> None:
    store, windows = toy
    response = np.zeros(1600, dtype=np.float32)
    response[0], response[800] = 1.0, 0.5  # one echo after 50 ms
    files.write(tmp_path / "room.wav", response, 16_000)
    kept = Renderings(store, windows, FeatureSpec(), room_share=1.0, room_files=tmp_path)
    kept.update(0)
    dry = torch.from_numpy(gather(store, windows))
    wet = dry.clone()
    wet[:, 800:] += 0.5 * dry[:, :-800]
    wet *= (dry.square().mean(1) / wet.square().mean(1)).sqrt()[:, None]
    torch.testing.assert_close(
        middle(kept.batch(torch.arange(len(windows))), 98), logmel(wet, FeatureSpec()), atol=0.02, rtol=0
    )
    kept.close()
