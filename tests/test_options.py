"""Options come from flags, --set, a file and defaults, in that order; misspelt ones never pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from kwsctl.errors import InputError
from kwsctl.options import resolve, to_mapping


@dataclass(frozen=True)
class Inner:
    width: float = 1.0


@dataclass(frozen=True)
class Options:
    epochs: int = 10
    rate: float | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    words: tuple[str, ...] = ()
    fast: bool = False
    out: Path = Path("x")
    inner: Inner = field(default_factory=Inner)


def test_precedence_is_flag_then_set_then_file_then_default(tmp_path: Path) -> None:
    file = tmp_path / "o.toml"
    file.write_text('epochs = 1\nrate = 1\noptimizer = "sgd"\n[inner]\nwidth = 3\n')
    options = resolve(
        Options, file=file, assignments=["epochs=2", "rate=0.5"], flags={"epochs": 3, "rate": None}
    )
    assert options == Options(epochs=3, rate=0.5, optimizer="sgd", inner=Inner(3.0))


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("optimizer=sgd", Options(optimizer="sgd")),
        ('words=["a", "b"]', Options(words=("a", "b"))),
        ("fast=true", Options(fast=True)),
        ("out=y/z", Options(out=Path("y/z"))),
        ("rate=3", Options(rate=3.0)),
        ("inner.width=2", Options(inner=Inner(2.0))),
    ],
)
def test_assignments_take_the_type_of_the_field(assignment: str, expected: Options) -> None:
    assert resolve(Options, assignments=[assignment]) == expected


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("epoch=3", "Unknown option 'epoch'. Did you mean 'epochs'?"),
        ("inner.widht=3", "Unknown option 'widht'. Did you mean 'width'?"),
        ("epochs", "--set 'epochs' has no '='"),
        ("epochs=many", "epochs = 'many' has the wrong type. Expected int"),
        ("epochs=1.5", "epochs = 1.5 has the wrong type"),
        ("epochs=true", "epochs = True has the wrong type"),
        ("optimizer=adam", "optimizer = 'adam' has the wrong type. Expected one of adamw, sgd"),
    ],
)
def test_what_does_not_fit_is_an_error_with_the_value(assignment: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(Options, assignments=[assignment])
    assert message in str(caught.value)


def test_a_missing_or_broken_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no options file"):
        resolve(Options, file=tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("epochs = = 3")
    with pytest.raises(InputError, match="is not TOML"):
        resolve(Options, file=tmp_path / "broken.toml")


def test_stored_options_hold_no_path_of_this_machine() -> None:
    stored = to_mapping(Options(out=Path("/somewhere/private/x.toml")))
    assert stored["out"] == "x.toml"
    assert stored["inner"] == {"width": 1.0}


def test_defaults_of_a_caller_give_way_to_what_is_said() -> None:
    mine = Options(epochs=7, rate=0.5, out=Path("y"), inner=Inner(3.0))
    found = resolve(Options, assignments=["epochs=9"], flags={"fast": True, "rate": None}, defaults=mine)
    assert found == Options(epochs=9, rate=0.5, fast=True, out=Path("y"), inner=Inner(3.0))
    assert resolve(Options, assignments=["inner.width=2"], defaults=mine).inner == Inner(2.0)
    assert resolve(Options, defaults=mine) == mine
