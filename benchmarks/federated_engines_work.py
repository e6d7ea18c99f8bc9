"""What the engines of `federated_engines.py` do; a module of its own, so that Ray's workers can import it."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

import torch
from flwr.app import Context

from kwsctl.data.prepare import prepared
from kwsctl.federated import clients, start
from kwsctl.federated.flower.client_app import client_app
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.session import Session, open_session

OPTIONS = FederateOptions(aggregator="mean")
FOLDER = "KWSCTL_BENCH_FOLDER"


@functools.cache
def session() -> Session:
    """Everybody's clips and one network; made once in every process."""
    torch.set_num_threads(1)
    folder = Path(os.environ[FOLDER])
    store = prepared(folder / "manifest.csv", folder)
    base, corpus = start.prepare(store, OPTIONS, None, 0)
    who = clients.populate(corpus.train.target.numpy(), corpus.train.speakers, OPTIONS.population, 0)
    return open_session(base, corpus, who, OPTIONS, 0)


def opened(context: Context) -> Session:
    """The part of one client."""
    every = session()
    own = every.clients[int(context.node_config["partition-id"])]
    return dataclasses.replace(every, clients=(own,), expected=len(every.clients))


CLIENT = client_app(opened)
