"""What the tests of data going in and being looked at share: messages, commands, topics read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

from streams.cli import execute
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record
from streams.runtime.reading import TopicReader
from topics import load_catalogue, provision

COMMAND = [sys.executable, "-m", "streams.cli"]
ROOT = Path(__file__).resolve().parents[2]


def message(message_id: str = "", *, source: str = "HES-1", context: str = "") -> bytes:
    """A small MeterReadings message; a fresh identity unless one is given."""
    known = f"<Context>{context}</Context>" if context else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<RequestMessage xmlns="http://iec.ch/TC57/2011/schema/message"><Header>'
        f"<Verb>create</Verb><Noun>MeterReadings</Noun>{known}"
        f"<Timestamp>2026-01-01T00:00:00Z</Timestamp><Source>{source}</Source>"
        f"<MessageID>{message_id or uuid.uuid4()}</MessageID></Header><Payload>"
        '<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><MeterReading>'
        "<Meter><mRID>0000aaaa-1111-4222-8333-44445555bbbb</mRID></Meter><Readings>"
        "<timeStamp>2026-01-01T00:00:00Z</timeStamp><value>1.5</value>"
        '<ReadingType ref="0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"/></Readings>'
        "</MeterReading></MeterReadings></Payload></RequestMessage>"
    ).encode()


def fill(folder: Path, count: int) -> dict[str, bytes]:
    """So many message files below the folder; their contents by name."""
    contents = {f"{number % 7}/{number:04}.xml": message() for number in range(count)}
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return contents


@cache
def make_topics(bootstrap: str) -> None:
    """The topics of the catalogue, as `cimstream topics apply` makes them; once per cluster."""
    admin = provision.connect(bootstrap)
    provision.apply(admin, provision.plan(admin, load_catalogue()))


def environment(bootstrap: str) -> dict[str, str]:
    """Of a child process that works on this cluster and finds the code from anywhere."""
    return {**os.environ, "CIMSTREAM_BOOTSTRAP": bootstrap, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: bytes
    stderr: bytes


def cimstream(
    bootstrap: str, *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None
) -> Done:
    """Run a command to its end, in this process, as `cimstream` would in its own."""
    written = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(buffer, encoding="utf-8") for buffer in written)
    with (
        mock.patch.dict(os.environ, CIMSTREAM_BOOTSTRAP=bootstrap),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or Path.cwd()),
    ):
        code = execute([str(argument) for argument in arguments])
    out.flush()
    err.flush()
    return Done(code, *(buffer.getvalue() for buffer in written))


def lines(done: Done) -> list[dict[str, object]]:
    """The JSON lines a command wrote; it must have succeeded."""
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def committed(bootstrap: str, topic: str) -> list[Record]:
    """All committed records of a topic."""
    with TopicReader(KafkaSettings(bootstrap)) as reader:
        return list(reader.records(reader.bounds(reader.topics()[topic])))


def times_there(bootstrap: str, topic: str, values: Iterable[bytes]) -> Sequence[int]:
    """How often each value is in the topic."""
    found = Counter(record.value for record in committed(bootstrap, topic))
    return [found[value] for value in values]
