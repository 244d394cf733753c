"""A deliverer as an operator runs it, systems that it delivers to, and messages for them."""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from streams.demo import messages as m
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Output, Record
from streams.runtime.headers import header
from streams.runtime.sending import Delivery, Sender
from tests.integration.data_rig import committed
from tests.integration.service import PATIENCE_S, Service, killed_at_the_end

OUTBOUND, REJECTED = "cim.i4.outbound", "cim.i4.rejected"
Answer = tuple[int, Mapping[str, str]]
OK: Answer = (200, {})
BAD: Answer = (400, {})
BROKEN: Answer = (500, {})
LATER: Answer = (503, {"Retry-After": "1"})
TOO_MANY: Answer = (429, {})


@dataclass
class Call:
    """One POST that a system got."""

    id: str
    body: bytes
    headers: dict[str, str]
    answer: int = 0


@dataclass
class Crew:
    """A system that is an HTTP server of another library. `answering` decides about each call."""

    answering: Callable[[Call], Answer] = lambda _: OK
    body: bytes = b""
    delay_s: float = 0
    port: int = 0
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = Lock()
        crew = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                call = Call(self.headers["Idempotency-Key"], body, dict(self.headers))
                with crew._lock:
                    crew.calls.append(call)
                time.sleep(crew.delay_s)
                status, more = crew.answering(call)
                call.answer = status
                self.send_response(status)
                for name, text in more.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(crew.body)))
                self.end_headers()
                self.wfile.write(crew.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/messages"

    @property
    def ids(self) -> list[str]:
        """In order of arrival, each as often as it came."""
        with self._lock:
            return [call.id for call in self.calls]

    @property
    def taken(self) -> list[str]:
        """Those that were answered 200, in that order."""
        with self._lock:
            return [call.id for call in self.calls if call.answer == 200]

    def await_calls(self, count: int) -> None:
        eventually(lambda: len(self.ids) >= count)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def nobody() -> str:
    """The address of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/messages"


class Deliver(Service):
    """One `cimstream deliver` with what it logs."""

    def __init__(self, bootstrap: str, file: Path, *arguments: str, **variables: str) -> None:
        fixed = ("deliver", "--destinations-file", str(file), "--health-port", "0")
        state = {"CIMSTREAM__WORKER__STATE_FOLDER": str(file.parent / "state"), **variables}
        super().__init__(bootstrap, *fixed, *arguments, **state)
        self.pid = self.await_event("delivery started")["pid"]

    def kill(self) -> None:
        """Kill -9 of the process that delivers; the supervisor starts another."""
        os.kill(self.pid, signal.SIGKILL)
        self.pid = self.await_event("delivery started")["pid"]

    def await_started(self) -> None:
        self.await_event("deliveries taken over")


def destinations(folder: Path, **tables: Mapping[str, object]) -> Path:
    """A file with these destinations; `_` in a name is `-`."""
    lines = []
    for name, table in tables.items():
        lines.append(f"[destinations.{name.replace('_', '-')}]")
        lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
    file = folder / f"{uuid.uuid4().hex}.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def quick(url: str, **said: object) -> dict[str, object]:
    """A destination of kind REST that is tried often."""
    fixed = {"kind": "rest", "url": url, "timeout_s": 1, "retry_first_s": 0.1, "retry_max_s": 0.5}
    return {**fixed, **said}


def work_order(message_id: str, mrid: str, destination: str = "", **said: str) -> bytes:
    """One message about one work order; `said` goes into the Header."""
    payload = (
        '<WorkOrders xmlns="urn:cimstream:WorkOrders:1"><WorkOrder>'
        f"<mRID>{mrid}</mRID><orderKind>maintenance</orderKind><kind>replacement</kind><title>x</title>"
        "</WorkOrder></WorkOrders>"
    )
    extra = "".join(f"<{name}>{text}</{name}>" for name, text in said.items())
    data = m.envelope(
        payload, message_id=message_id, verb="create", noun="WorkOrders", source="WMS", extra=extra
    )
    if destination:
        named = f"<Property><Name>Destination</Name><Value>{destination}</Value></Property>"
        data = data.replace(b"</Header>", f"{named}</Header>".encode())
    return data


def address(
    bootstrap: str,
    destination: str,
    orders: list[tuple[str, str]],
    topic: str = OUTBOUND,
    **said: str,
) -> None:
    """Put messages on outbound as the registers do: (message ID, subject) each, in order."""
    sender = Sender(KafkaSettings(bootstrap), timeout_s=PATIENCE_S)
    failures: list[Delivery] = []

    def report(delivery: Delivery) -> None:
        if delivery.failure:
            failures.append(delivery)

    for message_id, subject in orders:
        headers = {
            "content-type": "application/xml", "ce_specversion": "1.0", "ce_id": message_id,
            "ce_source": "WMS", "ce_type": "cim.WorkOrders.create", "ce_interface": "I4",
            "ce_noun": "WorkOrders", "ce_verb": "create", "ce_destination": destination,
            "ce_subject": subject, **said,
        }  # fmt: skip
        encoded = tuple((name, text.encode()) for name, text in headers.items() if text)
        value = work_order(message_id, subject or "x", destination)
        sender.send(Output(topic, destination.encode(), value, encoded), report)
    sender.finish()
    assert not failures


def eventually(found: Callable[[], Any], wanted: Any = True) -> None:
    """Wait until it is as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    while (last := found()) != wanted:
        assert time.monotonic() < deadline, f"{last!r}, not {wanted!r}"
        time.sleep(0.1)


def of(bootstrap: str, topic: str, destination: str) -> list[Record]:
    """The committed records of a topic that name the destination."""
    records = committed(bootstrap, topic)
    return [one for one in records if header(one, "ce_destination") == destination]


def dead_letters(bootstrap: str, destination: str) -> list[tuple[str, str]]:
    """Message ID and code of each."""
    records = of(bootstrap, REJECTED, destination)
    return [(header(one, "ce_id"), header(one, "cimstream_code")) for one in records]


def new_name() -> str:
    """Of a system that no other test knows."""
    return f"CREW-{uuid.uuid4().hex[:8]}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return str(value) if isinstance(value, (int, float)) else f'"{value}"'


def make_deliverer(bootstrap: str) -> Iterator[Callable[..., Deliver]]:
    """Starts deliverers; whatever still runs at the end is killed."""
    started: list[Deliver] = []

    def start(file: Path, *arguments: str, **variables: str) -> Deliver:
        started.append(Deliver(bootstrap, file, *arguments, **variables))
        return started[-1]

    with killed_at_the_end(started):
        yield start
