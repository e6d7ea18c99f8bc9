"""Compiles the C files in `_loops` with the machine's C compiler on first use, and calls it.

Without a compiler everything still works, slower: `unavailable()` says why, and the architectures then
run their ordinary modules. The compiled file is kept in the user's cache folder under a name made of the
source, the flags, the compiler and the processor, so that it is compiled once (about 2 s).
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).with_name("_loops")
FLAGS = [
    "-O3",
    "-march=native",
    "-std=gnu11",
    "-fPIC",
    "-shared",
    "-pthread",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fassociative-math",
    "-fno-signed-zeros",
]
LANES = 16
"""Rows are padded to a multiple of this many frames, see `_loops/loops.h`."""
SWITCH = "KWSCTL_NATIVE"
"""Environment variable: 0 turns the compiled loops off."""


class Size(ctypes.Structure):
    """The struct of the same name in `_loops/loops.h`: the sizes of one layer."""

    _fields_ = tuple(
        (name, ctypes.c_long)
        for name in [
            "clips",
            "channels",
            "rows_in",
            "rows_out",
            "frames",
            "stride",
            "bands",
            "dilation",
            "threads",
        ]
    )


class Norm(ctypes.Structure):
    """The struct of the same name in `_loops/norms.c`: a batch normalization."""

    _fields_ = (
        ("training", ctypes.c_long),
        *((name, ctypes.c_double) for name in ("count", "epsilon", "momentum")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "running_mean", "running_var")),
    )


def unavailable() -> str:
    """Says why the compiled loops cannot be used; empty if they can."""
    return _library()[1]


def call(name: str, *arguments: Tensor | ctypes.Structure | int | None) -> None:
    """Calls a function in `_loops`.

    Args:
        name: of the function.
        *arguments: contiguous tensors go as pointers, None as a null pointer, numbers as long.

    Raises:
        MemoryError: the function could not get memory.
    """
    library = _library()[0]
    if library is None:
        raise RuntimeError(f"The compiled loops are not available: {unavailable()}")
    function = getattr(library, name)
    if function.argtypes is None:  # the same for every call
        function.argtypes = [ctypes.c_long if isinstance(a, int) else ctypes.c_void_p for a in arguments]
    if function(*(a.data_ptr() if isinstance(a, Tensor) else _argument(a) for a in arguments)):
        raise MemoryError(f"{name} ran out of memory.")


def _argument(value: ctypes.Structure | int | None) -> object:
    return ctypes.byref(value) if isinstance(value, ctypes.Structure) else value


@functools.cache
def _library() -> tuple[ctypes.CDLL | None, str]:
    """Loads the compiled loops, compiling them first if need be; or says why not."""
    if os.environ.get(SWITCH) == "0":
        return None, f"{SWITCH}=0"
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None, "there is no C compiler; install gcc or clang, or set CC"
    try:
        return ctypes.CDLL(str(_compiled(compiler))), ""
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        return None, f"{compiler} could not build the loops: {detail}"


def _compiled(compiler: str) -> Path:
    """Gives the compiled file, made now if it is not in the cache folder."""
    version = subprocess.run(  # noqa: S603  # the machine's own compiler, found by name or named by the user
        [compiler, "--version"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    capability = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {_processor()}"
    sources = sorted(FOLDER.glob("*.[ch]"))
    parts = (*(file.read_text(encoding="utf-8") for file in sources), " ".join(FLAGS), version, capability)
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kwsctl" / "native"
    target = folder / f"{name}.so"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / "loops.so"
            command = [
                compiler,
                *FLAGS,
                *(str(file) for file in sources if file.suffix == ".c"),
                "-o",
                str(made),
                "-lm",
            ]
            subprocess.run(  # noqa: S603  # our own sources, and arguments without a shell
                command, capture_output=True, text=True, check=True, timeout=300
            )
            made.replace(target)
    return target


def _processor() -> str:
    """Names the processor, because code built for one may not run on another."""
    facts = Path("/proc/cpuinfo")
    if not facts.exists():
        return platform.processor()
    lines = facts.read_text(encoding="utf-8").splitlines()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
