"""What a package brings for a real device: session options per chip, and a script that pushes and runs it.

Not run by us: no Snapdragon was at hand. The options are those of ONNX Runtime's QNN execution provider.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kwsctl.export.chips import Chip
from kwsctl.storage import write_text

OPTIONS, SCRIPT = "session_options.json", "run_on_device.sh"

PUSH_AND_RUN = """#!/bin/sh
# Pushes this package to an Android device with adb and times the model there. Not run by those who made it.
#
#   ./run_on_device.sh LIBS [PART]
#
# LIBS: a folder with onnxruntime_perf_test and libonnxruntime.so of a QNN build for arm64-v8a, libQnnHtp.so,
# libQnnSystem.so, and libQnnHtpVNNStub.so, libQnnHtpVNNSkel.so of the device's HTP generation NN, all from
# Qualcomm's SDK under its licence. PART: the chip, such as sm8650, to run its context binary; without it the
# device prepares the QDQ graph, which works on every chip.
set -eu
libs=${1:?usage: run_on_device.sh LIBS [PART]}
part=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
there=/data/local/tmp/kwsctl
case $part in
  "") model=@MODEL@ ;;
  *) model=context.$part.onnx ;;
esac
test -f "$here/$model" || { echo "$model is not in this package" >&2; exit 2; }
soc=$(adb shell getprop ro.soc.model | tr -d '\\r' | tr '[:upper:]' '[:lower:]')
if [ -n "$part" ] && [ -n "$soc" ] && [ "$soc" != "$part" ]; then
  echo "this device is a $soc: a context for $part does not open there" >&2
  exit 2
fi
adb shell mkdir -p "$there"
adb push "$here/$model" "$there/"
adb push "$libs/." "$there/"
adb shell "cd $there && chmod +x onnxruntime_perf_test && LD_LIBRARY_PATH=. ADSP_LIBRARY_PATH=. \\
  ./onnxruntime_perf_test -e qnn -i 'backend_path|libQnnHtp.so htp_performance_mode|burst' \\
  -C 'session.disable_cpu_ep_fallback|1' -m times -r 1000 -I $model"
"""


def session_options(chips: Sequence[Chip]) -> dict[str, Any]:
    """Gives the options with which a session is opened on a device.

    Args:
        chips: that the package was compiled for.

    Returns:
        Per chip, options of the session and of the provider, and the context binary.
    """
    return {
        chip.part: {
            "name": chip.name,
            "context": f"context.{chip.part}.onnx",
            # Otherwise nodes fall back to the CPU in silence.
            "session": {"session.disable_cpu_ep_fallback": "1"},
            "provider": {
                "backend_path": "QnnHtp.dll" if chip.part.startswith("sc") else "libQnnHtp.so",
                "htp_arch": str(chip.htp_arch),
                "soc_model": str(chip.soc_model),
                "vtcm_mb": str(chip.vtcm_mb),
                "htp_performance_mode": "burst",
                "htp_graph_finalization_optimization_mode": "3",
            },
        }
        for chip in chips
    }


def write_device_files(folder: Path, model: str, chips: Sequence[Chip]) -> None:
    """Writes options and script into a package.

    Args:
        folder: of the package.
        model: name of the QDQ graph.
        chips: that the package was compiled for.
    """
    write_text(folder / OPTIONS, json.dumps(session_options(chips), indent=1) + "\n")
    write_text(folder / SCRIPT, PUSH_AND_RUN.replace("@MODEL@", model))
    (folder / SCRIPT).chmod(0o755)
