"""`cimstream publish` and `request` at a gateway without Kafka: what is printed, and exit codes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.exchange import Call
from schemas.envelope import ObjectId, Reply, ReplyError, read, reply_error
from schemas.errors import Problem
from streams.cli.errors import EXIT_PENDING
from tests.integration.data_rig import Done, cimstream, lines, message
from tests.unit.gateway.fake import FakeExchange
from tests.unit.gateway.fake_log import FakeSubscriptions
from tests.unit.gateway.test_protocol import serving
from topics.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_UNAVAILABLE

PARTIAL = Reply("PARTIAL", (ReplyError("2.6", "FATAL", "bad", "value_not_number: x"),))
MADE = Reply("OK", (ReplyError("0.0", "INFORM", "no errors"),), (ObjectId("0000-1", "uuid"),))


def answering(call: Call) -> Reply | None:
    """By the ID of the message."""
    return {
        "slow": None,
        "partial": PARTIAL,
        "exists": Reply("FAILED", (reply_error(Problem("object_exists", "it is there")),)),
    }.get(call.header.message_id, MADE)


@pytest.fixture(scope="module")
def exchange() -> FakeExchange:
    return FakeExchange(answering)


@pytest.fixture(scope="module")
def url(exchange: FakeExchange) -> Iterator[str]:
    with contextmanager(serving)(600, 600, FakeSubscriptions(), exchange) as port:
        yield f"http://127.0.0.1:{port}"


def call(url: str, command: str, *arguments: str | Path, stdin: bytes = b"") -> Done:
    fixed = ("--interface", "i7", "--gateway", url)
    return cimstream("nowhere:1", command, *arguments, *fixed, stdin=stdin)


def test_each_published_file_has_a_receipt_and_its_bytes_on_inbound(
    url: str, exchange: FakeExchange, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.xml" for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(message(f"p-{number}"))
    done = call(url, "publish", *files, "-o", "json")
    receipts = lines(done)
    assert [receipt["path"] for receipt in receipts] == [str(file) for file in files]
    assert [receipt["identity"] for receipt in receipts] == [
        f"HES-1|MeterReadings|p-{number}" for number in range(3)
    ]
    for file, receipt in zip(files, receipts, strict=True):
        offset = receipt["offset"]
        assert isinstance(offset, int)
        assert exchange.log[offset].message.value == file.read_bytes()
    assert b"3 sent" in done.stderr


def test_a_refused_file_does_not_hold_back_the_others(url: str, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.xml", tmp_path / "good.xml"
    bad.write_bytes(b"<RequestMessage>")
    good.write_bytes(message())
    done = call(url, "publish", bad, good)
    assert done.returncode == EXIT_FAILED
    first, second = done.stdout.decode().splitlines()
    assert "xml_not_wellformed" in first
    assert "cim.i7.inbound/0@" in second
    assert b"1 sent, 1 failed" in done.stderr


def test_a_reply_is_shown_for_people_as_it_came_or_as_json(url: str) -> None:
    body = message("r-1")
    assert call(url, "request", "-", stdin=body).stdout.decode().splitlines() == [
        "OK", "  object 0000-1",
    ]  # fmt: skip
    raw = call(url, "request", "-", "-o", "xml", stdin=body).stdout
    reply = read(raw).reply
    assert reply is not None
    assert reply.result == "OK"
    (document,) = lines(call(url, "request", "-", "-o", "json", stdin=body))
    assert document["result"] == "OK"
    assert document["objects"] == [{"id": "0000-1", "kind": "uuid", "type": ""}]


@pytest.mark.parametrize(
    ("message_id", "status", "shown"),
    [
        ("r-2", 0, "OK"),
        ("partial", EXIT_FAILED, "value_not_number"),
        ("slow", EXIT_PENDING, "/v1/I7/answers/0-"),
        ("exists", EXIT_FAILED, ""),
    ],
)
def test_the_exit_code_says_how_it_came_out(
    message_id: str, status: int, shown: str, url: str
) -> None:
    done = call(url, "request", "-", "--wait-s", "0.1", stdin=message(message_id))
    assert done.returncode == status
    assert shown in done.stdout.decode()


def test_a_refusal_says_what_why_and_what_to_do(url: str) -> None:
    done = call(url, "request", "-", "-o", "json", stdin=message("exists"))
    said = done.stderr.decode()
    assert "code: object_exists" in said
    assert "fix:" in said
    document = json.loads(done.stdout)
    assert (document["result"], document["code"]) == ("FAILED", "object_exists")
    assert document["errors"][0]["what"]


def test_who_does_not_wait_has_the_receipt(url: str) -> None:
    done = call(url, "request", "-", "--async", "-o", "json", stdin=message("later"))
    (receipt,) = lines(done)
    assert str(receipt["answer"]).startswith("/v1/I7/answers/0-")


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["-", "-i", "I12"], EXIT_CONFIG, "interface_unknown"),
        (["/nowhere.xml", "-i", "I7"], EXIT_CONFIG, "path_missing"),
        (["-", "-i", "I7", "--gateway", "gateway:80"], EXIT_CONFIG, "url_invalid"),
        (["-", "-i", "I7", "--key-file", "/nowhere"], EXIT_CONFIG, "key_unreadable"),
        (["-", "-i", "I7", "--ca-file", "/nowhere"], EXIT_CONFIG, "certificate_missing"),
    ],
)
@pytest.mark.parametrize("command", ["publish", "request"])
def test_wrong_usage_is_told_before_anything_is_sent(
    command: str, arguments: list[str], status: int, code: str
) -> None:
    done = cimstream("nowhere:1", command, *arguments, stdin=message())
    assert (done.returncode, done.stdout) == (status, b"")
    assert f"code: {code}" in done.stderr.decode()


@pytest.mark.parametrize("command", ["publish", "request"])
def test_a_gateway_that_does_not_answer_is_69(command: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{bound.getsockname()[1]}"
        done = call(nowhere, command, "-", "--patience-s", "0.2", stdin=message())
    assert done.returncode == EXIT_UNAVAILABLE
    assert "gateway_unreachable" in done.stderr.decode()
