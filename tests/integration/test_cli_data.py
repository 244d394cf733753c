"""Sending messages with the command line: a receipt for each, and each is where it says."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.integration.data_rig import (
    COMMAND,
    cimstream,
    committed,
    environment,
    fill,
    lines,
    make_topics,
    message,
    times_there,
)

pytestmark = pytest.mark.integration

INBOUND, REJECTED = "cim.i7.inbound", "cim.i7.rejected"
TO_I7 = ("--interface", "I7", "-o", "json")


@pytest.fixture(scope="module")
def cluster(kafka: str) -> str:
    make_topics(kafka)
    return kafka


def test_every_file_below_a_folder_gets_a_receipt_that_is_true(
    cluster: str, tmp_path: Path
) -> None:
    contents = fill(tmp_path, 50)
    (tmp_path / ".hidden.xml").write_bytes(b"x")
    (tmp_path / "unfinished.part").write_bytes(b"x")
    receipts = lines(cimstream(cluster, "send", tmp_path, *TO_I7))
    there = {str(record): record for record in committed(cluster, INBOUND)}
    told = {}
    for receipt in receipts:
        record = there["{topic}/{partition}@{offset}".format(**receipt)]
        told[str(receipt["path"])] = record.value
        assert record.key == str(receipt["identity"]).encode()
    assert told == {str(tmp_path / name): content for name, content in contents.items()}


def test_receipts_for_people_are_lines_with_path_place_and_identity(
    cluster: str, tmp_path: Path
) -> None:
    (tmp_path / "a.xml").write_bytes(message("a-1", source="HES-9"))
    done = cimstream(cluster, "send", tmp_path / "a.xml", "-i", "i7")
    assert done.returncode == 0
    path, place, identity = done.stdout.decode().split()
    assert path == str(tmp_path / "a.xml")
    assert place.startswith(f"{INBOUND}/")
    assert identity == "HES-9|MeterReadings|a-1"
    assert done.stderr.decode().strip() == "1 sent"


def test_sending_again_meets_the_first_on_its_partition(cluster: str, tmp_path: Path) -> None:
    fill(tmp_path, 20)
    first, second = (lines(cimstream(cluster, "send", tmp_path, *TO_I7)) for _ in range(2))
    places = {receipt["identity"]: receipt["partition"] for receipt in first}
    assert {receipt["identity"]: receipt["partition"] for receipt in second} == places
    assert len(set(places.values())) > 1


def test_standard_input_is_a_message(cluster: str) -> None:
    data = message()
    (receipt,) = lines(cimstream(cluster, "send", "-", *TO_I7, stdin=data))
    assert receipt["path"] == "-"
    assert times_there(cluster, INBOUND, [data]) == [1]


def test_bytes_that_are_no_message_enter_as_they_are(cluster: str) -> None:
    data = b"\xff\xfe no XML " + uuid.uuid4().bytes
    (receipt,) = lines(cimstream(cluster, "send", "-", *TO_I7, stdin=data))
    assert receipt["topic"] == INBOUND
    assert receipt["identity"] == f"sha256|{hashlib.sha256(data).hexdigest()}"
    assert times_there(cluster, INBOUND, [data]) == [1]


@pytest.mark.parametrize("size", [10_000_000, 100_000_000])
def test_an_oversize_goes_to_rejected_and_its_receipt_says_so(
    cluster: str, tmp_path: Path, size: int
) -> None:
    path = tmp_path / f"{uuid.uuid4()}.xml"
    with path.open("wb") as file:
        file.write(message())
        file.truncate(size)
    (receipt,) = lines(cimstream(cluster, "send", path, *TO_I7))
    assert (receipt["topic"], receipt["code"]) == (REJECTED, "message_too_large")
    place = "{topic}/{partition}@{offset}".format(**receipt)
    record = next(one for one in committed(cluster, REJECTED) if str(one) == place)
    told = dict(record.headers)
    assert record.value == path.read_bytes()[: 64 * 1024]
    assert told["cimstream_size"] == str(size).encode()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert told["cimstream_sha256"] == digest.encode()
    assert told["ce_noun"] == b"MeterReadings"


def test_what_cannot_be_sent_gets_a_receipt_too_and_the_rest_is_sent(
    cluster: str, tmp_path: Path
) -> None:
    data = message()
    (tmp_path / "a.xml").write_bytes(data)
    (tmp_path / "link.xml").symlink_to(tmp_path / "a.xml")
    done = cimstream(cluster, "send", tmp_path, "-i", "I7")
    assert done.returncode == 1
    assert "link.xml" in done.stdout.decode()
    assert "not sent: is a symbolic link" in done.stdout.decode()
    assert "1 sent, 1 failed" in done.stderr.decode()
    assert times_there(cluster, INBOUND, [data]) == [1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("send", "no-such-file.xml", "-i", "I7"), 2, "no-such-file.xml"),
        (("send", "-", "-i", "I12"), 2, "I12"),
        (("send", "."), 2, "--interface"),
        (("send", ".", "-i", "I7", "--watch"), 2, "--name"),
        (("send", "-", "-i", "I7", "--watch", "--name", "x"), 2, "folder"),
        (("send", ".", "-i", "I7", "--watch", "--name", "X/Y"), 2, "name"),
        (("tail", "i7.meter-reedings"), 2, "i7.meter-readings"),
        (("stats", "-i", "I0"), 2, "I0"),
        (("dlq", "list", "--code", "nonsense"), 2, "nonsense"),
        (("dlq", "list", "--since", "yesterday"), 2, "yesterday"),
        (("dlq", "show", "cim.i7.rejected"), 2, "PARTITION@OFFSET"),
        (("dlq", "show", "cim.i7.rejected/0@999999999"), 1, "no committed record"),
        (("dlq", "show", "cim.i7.rejected/999@0"), 1, "no committed record"),
    ],
)
def test_a_mistake_gets_one_message_with_what_to_do_and_its_exit_code(
    cluster: str, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = cimstream(cluster, *arguments, cwd=tmp_path)
    text = done.stderr.decode()
    assert done.returncode == code, text
    assert said in text
    assert text.count("error:") == 1
    assert "fix:" in text
    assert "Traceback" not in text
    assert done.stdout == b""


@pytest.mark.parametrize(
    "arguments",
    [("send", "-", "-i", "I7"), ("tail", "i7.inbound"), ("stats",), ("dlq", "list")],
)
def test_without_a_broker_there_is_one_message_that_says_how_to_get_one(
    arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    done = cimstream("127.0.0.1:1", *arguments)
    text = done.stderr.decode() + capfd.readouterr().err
    assert done.returncode == 69, text
    assert "127.0.0.1:1" in text
    assert "cimstream broker up" in text
    assert text.count("error:") == 1
    assert "rdkafka" not in text


def test_everything_is_sent_although_nobody_reads_the_receipts(
    cluster: str, tmp_path: Path
) -> None:
    contents = fill(tmp_path, 3000)
    with subprocess.Popen(
        [*COMMAND, "send", str(tmp_path), *TO_I7],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(cluster),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read().decode().strip() == "3000 sent"
    assert process.returncode == 0
    found = {record.value for record in committed(cluster, INBOUND)}
    assert found >= set(contents.values())


def test_a_watched_folder_is_sent_as_it_fills_until_the_process_is_ended(
    cluster: str, tmp_path: Path
) -> None:
    name = f"watch-{uuid.uuid4().hex[:8]}"
    watch = ["send", tmp_path, *TO_I7, "--watch", "--name", name, "--settle-s", "0"]
    contents = {f"{number}.xml": message() for number in range(4)}

    def put(file: str) -> None:
        (tmp_path / "new.tmp").write_bytes(contents[file])
        (tmp_path / "new.tmp").rename(tmp_path / file)

    for before, after in (("0.xml", "1.xml"), ("2.xml", "3.xml")):
        put(before)
        with subprocess.Popen(
            [*COMMAND, *map(str, watch)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(cluster),
        ) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["path"] == before
            put(after)
            assert json.loads(process.stdout.readline())["path"] == after
            process.send_signal(signal.SIGTERM)
        assert process.returncode == 0
    assert times_there(cluster, INBOUND, contents.values()) == [1] * 4


def test_a_path_that_is_no_text_is_sent_and_shown(cluster: str, tmp_path: Path) -> None:
    data = message()
    (tmp_path / os.fsdecode(b"\xff.xml")).write_bytes(data)
    (receipt,) = lines(cimstream(cluster, "send", tmp_path, *TO_I7))
    assert str(receipt["path"]).endswith("\ufffd.xml")
    assert times_there(cluster, INBOUND, [data]) == [1]
