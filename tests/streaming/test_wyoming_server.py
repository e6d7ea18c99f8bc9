"""A real Wyoming client on loopback hears of keywords, several at a time, and of audio without any."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import numpy as np
import pytest

from kwsctl.errors import InputError
from kwsctl.evaluation.streams import Trigger
from kwsctl.streaming import wyoming_server
from kwsctl.streaming.listen import Found
from kwsctl.streaming.listener import Listener
from kwsctl.streaming.torch_engine import TorchEngine
from kwsctl.streaming.wyoming_server import Service, parsed
from tests import toy_people
from tests.streaming.test_listener import RATE_HZ, THRESHOLD, stream, whole

pytest.importorskip("wyoming")
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

Result = TypeVar("Result")
CHUNK = 1024


def listener() -> Listener:
    engine = TorchEngine(toy_people.keyword_model())
    return Listener(engine, trigger=Trigger(0.3, 1.0), threshold=THRESHOLD)


def served(talk: Callable[[int], Awaitable[Result]]) -> tuple[Result, list[Found], list[str]]:
    """Serves while `talk` is given the port."""
    found: list[Found] = []
    notes: list[str] = []
    keywords = listener().keywords

    async def both() -> Result:
        bound = asyncio.Event()

        def note(text: str) -> None:
            notes.append(text)
            bound.set()

        service = Service(listener, keywords, "ana", keywords[:1], found.append, note)
        serving = asyncio.create_task(wyoming_server._serve(service, "127.0.0.1", 0))
        await bound.wait()
        try:
            return await talk(int(notes[0].rstrip(".").rpartition(":")[2]))
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    return asyncio.run(asyncio.wait_for(both(), 120)), found, notes


async def heard(port: int, samples: np.ndarray, names: list[str] | None = None) -> list[Any]:
    """Sends audio as a satellite does, and gives what came back."""
    pcm = np.rint(samples * 32768).clip(-32768, 32767).astype("<i2")
    about = {"rate": RATE_HZ, "width": 2, "channels": 1}
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Detect(names=names).event())
        await client.write_event(AudioStart(**about, timestamp=5000).event())
        for first in range(0, len(pcm), CHUNK):
            await client.write_event(AudioChunk(**about, audio=pcm[first : first + CHUNK].tobytes()).event())
        await client.write_event(AudioStop().event())
        await client.write_event(Ping(text="last").event())
        answers: list[Any] = []
        while (event := await client.read_event()) is not None and not Pong.is_type(event.type):
            known = Detection if Detection.is_type(event.type) else NotDetected
            answers.append(known.from_event(event))
    return answers


def test_it_describes_its_keywords() -> None:
    async def talk(port: int) -> Info:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Describe().event())
            answer = await client.read_event()
            assert answer is not None
            return Info.from_event(answer)

    info, _, _ = served(talk)
    (program,) = info.wake
    assert [model.phrase for model in program.models] == list(listener().keywords)
    assert all(model.installed for model in program.models)


def test_clients_at_the_same_time_are_each_told_of_what_is_in_their_own_audio() -> None:
    quiet = (0.005 * np.random.default_rng(9).normal(size=3 * RATE_HZ)).astype(np.float32)
    wanted = whole()[0][1]

    async def talk(port: int) -> list[list[Any]]:
        return await asyncio.gather(
            heard(port, stream()), heard(port, quiet), heard(port, stream(), [wanted]), heard(port, quiet)
        )

    (everything, nothing, some, nothing_else), found, _ = served(talk)
    expected = [(name, 5000 + round(1000 * time_s)) for time_s, name, _ in whole()]
    assert [(d.name, d.timestamp) for d in everything[: len(expected)]] == expected
    assert [d.speaker for d in everything] == [
        "ana" if d.name == listener().keywords[0] else None for d in everything
    ]
    assert nothing == nothing_else == [NotDetected()]
    assert {d.name for d in some} == {wanted}
    assert len({one.source for one in found}) == 2


def test_a_client_that_talks_nonsense_disturbs_nobody() -> None:
    async def talk(port: int) -> list[Any]:
        for content in (
            b"\xff\xfe nothing\n",
            b'{"data": 1}\n',
            b"[]\n",
            b'{"type": "audio-chunk", "data": {}}\n',
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(content)
            await writer.drain()
            assert await reader.read() == b""
            writer.close()
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Event(type="never-heard-of"))
        return await heard(port, stream()[: 8 * RATE_HZ])

    answers, _, notes = served(talk)
    assert isinstance(answers[0], Detection)
    assert any("disconnected" in note for note in notes)


def test_addresses() -> None:
    assert parsed("127.0.0.1:10400") == ("127.0.0.1", 10400)
    assert parsed("[::1]:0") == ("::1", 0)
    for wrong in ("10400", "host:", ":1", "host:99999", "host:a"):
        with pytest.raises(InputError, match="HOST:PORT"):
            parsed(wrong)
