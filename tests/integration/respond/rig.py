"""Responders as an operator runs them, queries, and what was replied."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from streams.engine.record import Record
from tests.integration.data_rig import ROOT, committed
from tests.integration.service import PATIENCE_S, Service, killed_at_the_end
from topics.replies import ANSWERS, SAME_AS

# What it answers is never the same twice, so that a second answer would be seen.
FUNCTIONS = """
import os
import time
import uuid

from lxml import etree

from connectors.respond import Answer, NoAnswerError, Responder

responder = Responder()
SPACE = "http://iec.ch/TC57/2011/MeterReadings#"


@responder.answers("MeterReadings", interface="I7")
def on_demand(request):
    wanted = {option.name: option.value for option in request.query.options}
    if "refuse" in wanted:
        raise NoAnswerError("criteria_too_wide")
    if "fail" in wanted:
        raise RuntimeError("secret of a person")
    if "die" in wanted and not os.path.exists(wanted["die"]):
        open(wanted["die"], "w").close()
        os._exit(9)
    time.sleep(float(wanted.get("sleep", "0")))
    payload = etree.Element(f"{{{SPACE}}}MeterReadings", nsmap={None: SPACE})
    etree.SubElement(payload, f"{{{SPACE}}}MeterReading").set("of", uuid.uuid4().hex)
    return Answer(payload)
"""


class Respond(Service):
    """One `cimstream respond` process and what it logs."""

    def __init__(self, bootstrap: str, folder: Path, *arguments: str, **variables: str) -> None:
        (folder / "responders_of_a_test.py").write_text(FUNCTIONS, encoding="utf-8")
        fixed = {
            "CIMSTREAM__WORKER__STATE_FOLDER": str(folder / "state"),
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        }
        command = ("respond", "responders_of_a_test:responder", "--no-view")
        limits = ("--interface", "I7", "--http-port", "0")
        super().__init__(bootstrap, *command, *limits, *arguments, **(fixed | variables))

    def pids(self, count: int) -> list[int]:
        """The processes that answer, once so many of them have started and have partitions."""
        started = [self.await_event("responder started")["pid"] for _ in range(count)]
        for _ in range(count):
            self.await_event("partitions assigned")
        return started


def make_respond(kafka: str, folder: Path) -> Iterator[Callable[..., Respond]]:
    """Starts responders; whatever still runs at the end is killed."""
    started: list[Respond] = []

    def start(*arguments: str, **variables: str) -> Respond:
        # Slots of their own: those of a `run` elsewhere begin at 0.
        slot = ("--first-slot", str(10 + len(started)))
        started.append(Respond(kafka, folder, *slot, *arguments, **variables))
        return started[-1]

    with killed_at_the_end(started):
        yield start


def query(
    message_id: str, source: str, noun: str = "MeterReadings", *, asks: str = "", extra: str = ""
) -> bytes:
    return (
        '<RequestMessage xmlns="http://iec.ch/TC57/2011/schema/message"><Header>'
        f"<Verb>get</Verb><Noun>{noun}</Noun><Timestamp>2026-01-01T00:00:00Z</Timestamp>"
        f"<Source>{source}</Source><MessageID>{message_id}</MessageID>{extra}</Header>"
        f"<Request>{asks}</Request></RequestMessage>"
    ).encode()


def option(name: str, value: object) -> str:
    return f"<Option><name>{name}</name><value>{value}</value></Option>"


def replies(kafka: str, source: str, topic: str = "cim.i7.outbound") -> dict[bytes, list[Record]]:
    """The replies to a source by what they answer; those that only name another are left out."""
    found: dict[bytes, list[Record]] = {}
    for record in committed(kafka, topic):
        said = dict(record.headers)
        if said.get("ce_destination") == source.encode() and SAME_AS not in said:
            found.setdefault(said[ANSWERS], []).append(record)
    return found


def awaited(find: Callable[[], Any]) -> Any:
    """What is found, once it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := find()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found
