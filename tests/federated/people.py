"""A small federation: eight people say three words that their encoder has never heard."""

from __future__ import annotations

import functools
from typing import Any

from kwsctl.bundle import Bundle
from kwsctl.data.store import ClipStore
from kwsctl.federated import clients, start
from kwsctl.federated.corpus import Corpus
from kwsctl.federated.options import FederateOptions
from kwsctl.federated.rounds import play
from kwsctl.federated.session import Session, open_session
from kwsctl.federated.state import State, first_state
from kwsctl.options import from_mapping
from tests.toy_people import NEW_WORDS, crowd, encoder, joined

SAID = NEW_WORDS


@functools.cache
def people() -> ClipStore:
    """Eight clients and two held-out speakers, four takes of each word."""
    return joined(crowd(SAID, range(8), 4), crowd(SAID, (20, 21), 4, "val"))


@functools.cache
def prepared() -> tuple[Bundle, Corpus]:
    return start.prepare(people(), FederateOptions(part="head"), encoder(), 0)


def options(**values: Any) -> FederateOptions:
    return from_mapping(FederateOptions, {"part": "head", "rounds": 6, "aggregator": "mean", **values})


def session(**values: Any) -> Session:
    base, corpus = prepared()
    how = options(**values)
    target, speakers = corpus.train.target.numpy(), corpus.train.speakers
    return open_session(base, corpus, clients.populate(target, speakers, how.population, 0), how, 0)


def played(**values: Any) -> tuple[Session, State]:
    there = session(**values)
    return there, play(there, first_state(there))
