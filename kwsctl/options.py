"""Turns flags, `--set key=value` and a TOML file into one frozen `Options` value.

Precedence is flag, then `--set`, then file, then the default in the dataclass. Unknown keys are
errors with a near match, so that a misspelt option never passes silently.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from kwsctl.errors import InputError
from kwsctl.registry import did_you_mean

T = TypeVar("T")


def resolve(
    options: type[T],
    *,
    file: Path | None = None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    defaults: T | None = None,
) -> T:
    """Builds `options` from a file, `key=value` assignments and flags.

    Args:
        options: a frozen dataclass whose fields all have defaults.
        file: TOML with one key per field.
        assignments: `key=value` texts of `--set`; values are read as TOML, else as plain text.
        flags: values from the command line; None means "not given".
        defaults: what holds where nothing else is said; by default that of the dataclass.

    Returns:
        A checked instance.

    Raises:
        InputError: an unknown key, a value of another type, or a file that is not TOML.
    """
    values: dict[str, Any] = {} if defaults is None else dataclasses.asdict(cast(Any, defaults))
    if file is not None:
        values |= _read_toml(file)
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text!r} has no '='.", "Write --set key=value.")
        outer, _, inner = key.strip().partition(".")
        if inner:  # network.tau=2 sets one field of an option that has fields itself
            values[outer] = {**values.get(outer, {}), inner: _parse_value(value.strip())}
        else:
            values[outer] = _parse_value(value.strip())
    values |= {key: value for key, value in (flags or {}).items() if value is not None}
    return from_mapping(options, values)


def from_mapping(options: type[T], values: Mapping[str, Any]) -> T:
    """Builds `options` from a mapping, checking every key and type.

    Args:
        options: a dataclass.
        values: one entry per field that differs from its default.

    Returns:
        A checked instance.

    Raises:
        InputError: an unknown key or a value of another type.
    """
    hints = typing.get_type_hints(options)
    known = [f.name for f in dataclasses.fields(options)]  # type: ignore[arg-type]  # T is a dataclass type
    checked = {}
    for key, value in values.items():
        if key not in known:
            hint = f"{did_you_mean(key, known)}Known: {', '.join(known)}."
            raise InputError(f"Unknown option {key!r}.", hint)
        checked[key] = _coerce(key, value, hints[key])
    return options(**checked)


def to_mapping(options: Any) -> dict[str, Any]:
    """Gives the JSON-able form of resolved options, to be stored with what they made.

    Of a path only the name stays: where a file was on one machine means nothing on another.
    """

    def plain(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: value.name if isinstance(value, Path) else value for key, value in pairs}

    return dataclasses.asdict(options, dict_factory=plain)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"There is no options file {file}.", "Check --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not TOML: {error}.") from None


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _coerce(key: str, value: Any, hint: Any) -> Any:
    """Fits a TOML value to a field type: ints may be floats, lists may be tuples, text may be paths."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return from_mapping(hint, value)
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in allowed:
        origin = typing.get_origin(kind) or kind
        if origin is tuple and isinstance(value, list | tuple):
            return tuple(value)
        if origin is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if origin is Path and isinstance(value, str):
            return Path(value)
        if origin is typing.Literal and value in typing.get_args(kind):
            return value
        if origin is not bool and isinstance(value, bool):
            continue  # True is an int to Python, not to people
        if isinstance(origin, type) and isinstance(value, origin):
            return value
    expected = " or ".join(_type_name(kind) for kind in allowed)
    raise InputError(f"Option {key} = {value!r} has the wrong type.", f"Expected {expected}.")


def _type_name(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    return str(getattr(kind, "__name__", kind))
