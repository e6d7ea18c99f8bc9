"""Listens for others over the Wyoming protocol, which Home Assistant and its satellites speak.

A client sends `detect`, then audio; it is told of each keyword by `detection`, or at the end of the audio by
`not-detected`. Every client has a listener of its own. The protocol knows neither passwords
nor encryption: listen on an address that only trusted machines reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kwsctl import __version__
from kwsctl.errors import DeviceError, ExtensionError, InputError
from kwsctl.streaming.listen import Found
from kwsctl.streaming.listener import Detection, Listener

try:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of audioop, which wyoming uses while it is there
        from wyoming.audio import AudioChunk, AudioChunkConverter, AudioStart, AudioStop
        from wyoming.event import Event
        from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
        from wyoming.ping import Ping, Pong
        from wyoming.server import AsyncEventHandler
        from wyoming.wake import Detect, NotDetected
        from wyoming.wake import Detection as Told
except ImportError:
    raise ExtensionError("The Wyoming server needs wyoming.", "Type: pip install 'kwsctl[wyoming]'") from None

MOST_CLIENTS = 32
WIDTH_BYTES = 2


@dataclass(frozen=True)
class Service:
    """What clients are offered.

    Attributes:
        listener: makes a listener for one client.
        labels: keywords that can be asked for.
        user: whose they are; None for everybody's.
        only: keywords that only this person may say; a detection of one names the speaker.
        on_event: told every event, by the loop's own thread.
        on_note: told what clients do, in words.
    """

    listener: Callable[[], Listener]
    labels: Sequence[str]
    user: str | None
    only: Sequence[str]
    on_event: Callable[[Found], None]
    on_note: Callable[[str], None]


def serve(service: Service, address: str) -> None:
    """Serves until it is interrupted or told to stop by SIGTERM.

    Args:
        service: what clients are offered.
        address: HOST:PORT; port 0 takes a free one.

    Raises:
        InputError: no such address can be written.
        DeviceError: the address cannot be listened on.
    """
    host, port = parsed(address)
    asyncio.run(_serve(service, host, port))


def parsed(address: str) -> tuple[str, int]:
    """Splits HOST:PORT, of which the host may be an IPv6 address in brackets.

    Args:
        address: such as `127.0.0.1:10400`.

    Returns:
        Host and port.

    Raises:
        InputError: it is something else.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise InputError(
            f"--wyoming {address!r} is not HOST:PORT.", "Give an address, such as 127.0.0.1:10400."
        )
    return host.strip("[]"), int(port)


async def _serve(service: Service, host: str, port: int) -> None:
    clients: set[_Client] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Client(reader, writer, service, clients).run()

    try:
        server = await asyncio.start_server(welcome, host, port)
    except OSError as error:
        raise DeviceError(f"{host}:{port} cannot be listened on: {error}.", "Is it in use?") from None
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # not on every system and thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    bound = server.sockets[0].getsockname()
    service.on_note(f"Listening for Wyoming clients on {bound[0]}:{bound[1]}.")
    with contextlib.suppress(asyncio.CancelledError):  # what closing the server does
        await server.serve_forever()
    await asyncio.gather(*(client.stop() for client in clients))


class _Client(AsyncEventHandler):
    """One client and its listener."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        service: Service,
        clients: set[_Client],
    ) -> None:
        super().__init__(reader, writer)
        self._service, self._clients = service, clients
        peer = writer.get_extra_info("peername") or ("?", 0)
        self._name = f"{peer[0]}:{peer[1]}"
        self._listener: Listener | None = None
        self._wanted: frozenset[str] | None = None
        self._context: dict[str, Any] | None = None
        self._hearing = self._detected = False

    async def run(self) -> None:
        """Answers until the client leaves; what it garbles ends its connection, and nobody else's."""
        if len(self._clients) >= MOST_CLIENTS:
            self._service.on_note(f"{self._name} is sent away: {MOST_CLIENTS} clients are connected.")
            self.writer.close()
            return
        self._clients.add(self)
        try:
            await super().run()
        except (AttributeError, KeyError, TypeError, ValueError, EOFError, OSError) as error:
            self._service.on_note(f"{self._name} is disconnected: {type(error).__name__} {error}")
        finally:
            self._clients.discard(self)

    async def handle_event(self, event: Event) -> bool:
        """Answers one event; unknown ones are let pass, as the protocol asks for."""
        if Describe.is_type(event.type):
            await self.write_event(_info(self._service).event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif Detect.is_type(event.type):
            self._ask_for(Detect.from_event(event))
        elif AudioStart.is_type(event.type):
            self._begin(AudioStart.from_event(event).timestamp)
        elif AudioChunk.is_type(event.type):
            await self._hear(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            await self._end()
        return True

    def _ask_for(self, asked: Detect) -> None:
        """Remembers which keywords the client wants to be told of."""
        self._wanted = frozenset(asked.names) if asked.names else None
        self._context = asked.context
        unknown = sorted((self._wanted or frozenset()) - set(self._service.labels))
        if unknown:
            known = ", ".join(self._service.labels)
            self._service.on_note(f"{self._name} asks for {', '.join(unknown)}, which is none of: {known}.")

    def _begin(self, timestamp_ms: int | None) -> None:
        """Begins a stream, which forgets the one before."""
        if self._listener is None:
            self._listener = self._service.listener()
        self._listener.reset()
        self._start_ms = timestamp_ms or 0
        spec = self._listener.ear.engine.features
        self._converter = AudioChunkConverter(rate=spec.sample_rate_hz, width=WIDTH_BYTES, channels=1)
        self._hearing, self._detected = True, False

    async def _hear(self, chunk: AudioChunk) -> None:
        if not self._hearing:  # some clients never say that they begin
            self._begin(chunk.timestamp)
        audio = self._converter.convert(chunk).audio
        samples = np.frombuffer(audio[: len(audio) // WIDTH_BYTES * WIDTH_BYTES], "<i2")
        if self._listener is not None:
            # In a thread, so that other clients are read meanwhile.
            found = await asyncio.to_thread(
                self._listener.push, samples.astype(np.float32) / np.float32(32768)
            )
            await self._tell(found)

    async def _end(self) -> None:
        """Ends a stream, and says so if nothing was heard in it."""
        if self._listener is not None and self._hearing:
            await self._tell(await asyncio.to_thread(self._listener.finish))
        if not self._detected:
            await self.write_event(NotDetected(context=self._context).event())
        self._hearing = self._detected = False

    async def _tell(self, found: Sequence[Detection]) -> None:
        for event in found:
            if self._wanted is not None and event.keyword not in self._wanted:
                continue
            self._detected = True
            self._service.on_event(Found(self._name, event))
            speaker = self._service.user if event.keyword in self._service.only else None
            at_ms = self._start_ms + round(1000 * event.time_s)
            told = Told(name=event.keyword, timestamp=at_ms, speaker=speaker, context=self._context)
            await self.write_event(told.event())


def _info(service: Service) -> Info:
    """Describes the keywords as wake words."""
    whose = f" as {service.user} enrolled it" if service.user else ""
    by = Attribution(name="kwsctl", url="")
    about: dict[str, Any] = {"attribution": by, "installed": True, "version": __version__}
    models = [
        WakeModel(name=label, description=f"{label}{whose}", phrase=label, languages=[], **about)
        for label in service.labels
    ]
    described = "Wake words trained and enrolled with kwsctl"
    return Info(wake=[WakeProgram(name="kwsctl", description=described, models=models, **about)])
