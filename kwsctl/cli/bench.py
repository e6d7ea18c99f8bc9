"""`kwsctl bench`: whole protocols over many people."""

from __future__ import annotations

import typer

from kwsctl.cli import (
    bench_continual,
    bench_enrolment,
    bench_export,
    bench_federated,
    bench_learning,
    bench_verification,
)

app = typer.Typer(help="Measure whole protocols over many people.", no_args_is_help=True)
app.command("few-shot")(bench_enrolment.few_shot_command)
app.command("new-words")(bench_enrolment.new_words_command)
app.command("promises")(bench_enrolment.promises_command)
app.command("continual")(bench_continual.continual_command)
app.command("federated")(bench_federated.federated_command)
app.command("verification")(bench_verification.verification_command)
app.command("invertible")(bench_learning.invertible_command)
app.command("quantized-training")(bench_learning.quantized_training_command)
app.command("export")(bench_export.export_command)
