"""Network models on a real Kafka, from outside: a version is there as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.avro import decode
from streams.engine.record import Record
from tests.integration.data_rig import cimstream
from tests.integration.service import PATIENCE_S
from tests.integration.test_registers import awaited, of
from tests.integration.test_run import Run, make_run

pytestmark = pytest.mark.integration

LOG, CURRENT = "cim.i2.network-data-set", "cim.i2.network-data-set.current"
OUTBOUND = "cim.i2.outbound"
NODES = 6_000
SPACES = (
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:cim="http://iec.ch/TC57/CIM100#" '
    'xmlns:md="http://iec.ch/TC57/61970-552/ModelDescription/1#" '
    'xmlns:dm="http://iec.ch/2002/schema/CIM_difference_model#"'
)


@pytest.fixture
def run(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts `cimstream run`; whatever still runs at the end is killed."""
    yield from make_run(kafka, tmp_path)


def node(model: str, number: int, name: str) -> str:
    """With a description that does not pack, so that the model is heavy."""
    noise = hashlib.sha256(f"{model}-{number}".encode()).hexdigest()
    return (
        f'<cim:ConnectivityNode rdf:ID="{model}-{number}">'
        f"<cim:IdentifiedObject.name>{name}</cim:IdentifiedObject.name>"
        f"<cim:IdentifiedObject.description>{noise}</cim:IdentifiedObject.description>"
        "<cim:ConnectivityNode.ConnectivityNodeContainer "
        f'rdf:resource="#{model}-feeder"/></cim:ConnectivityNode>\n'
    )


def full(model: str) -> str:
    nodes = "".join(node(model, number, "before") for number in range(NODES))
    authority = f"<md:Model.modelingAuthoritySet>{model}</md:Model.modelingAuthoritySet>"
    return (
        f'<rdf:RDF {SPACES}><md:FullModel rdf:about="#{model}-v1">{authority}</md:FullModel>\n'
        f'<cim:Feeder rdf:ID="{model}-feeder"/>\n{nodes}</rdf:RDF>'
    )


def difference(model: str) -> str:
    """Renames the first node and takes the second away."""
    authority = f"<md:Model.modelingAuthoritySet>{model}</md:Model.modelingAuthoritySet>"
    said = (
        f'<rdf:Description rdf:about="#{model}-0"><cim:IdentifiedObject.name>{{}}'
        "</cim:IdentifiedObject.name></rdf:Description>"
    )
    gone = node(model, 1, "before").replace('rdf:ID="', 'rdf:about="#')
    return (
        f'<rdf:RDF {SPACES}><dm:DifferenceModel rdf:about="#{model}-v2">{authority}'
        f'<md:Model.Supersedes rdf:resource="#{model}-v1"/>'
        f'<dm:forwardDifferences rdf:parseType="Statements">{said.format("after")}'
        "</dm:forwardDifferences>"
        f'<dm:reverseDifferences rdf:parseType="Statements">{said.format("before")}{gone}'
        "</dm:reverseDifferences></dm:DifferenceModel></rdf:RDF>"
    )


def send(kafka: str, file: Path, *arguments: str) -> None:
    done = cimstream(kafka, "send", file, "--interface", "I2", *arguments)
    assert done.returncode == 0, done.stderr


def kill_while_it_writes(kafka: str, pid: int, sending: Callable[[], None]) -> None:
    """As soon as the log has grown, by records that nobody may see yet."""
    settings = {"bootstrap.servers": kafka, "group.id": "unused"}
    consumer, place = Consumer(settings), TopicPartition(LOG, 0)
    first = consumer.get_watermark_offsets(place, timeout=10)[1]
    sending()
    deadline = time.monotonic() + PATIENCE_S
    while consumer.get_watermark_offsets(place, timeout=10)[1] == first:
        assert time.monotonic() < deadline, "nothing was written"
    os.kill(pid, signal.SIGKILL)
    consumer.close()


def present(kafka: str, model: str) -> dict[bytes, str]:
    """The names of the objects that compaction leaves."""
    left: dict[bytes, Record] = {}
    for record in of(kafka, CURRENT, model):
        left[record.key or b""] = record
    decoded = {key: decode(one.value)[1] for key, one in left.items() if one.value}
    return {
        key: record["attributes"].get("IdentifiedObject.name", [""])[0]
        for key, record in decoded.items()
    }


def test_a_model_is_seen_as_a_whole_or_not_at_all_though_its_worker_is_killed_while_it_writes(
    run: Callable[..., Run], kafka: str, tmp_path: Path
) -> None:
    model = f"m{uuid.uuid4().hex[:8]}"
    subject = run("--interface", "I2")
    worker = subject.await_event("worker started")
    subject.await_event("partitions assigned")
    whole, less = tmp_path / "whole.xml", tmp_path / "less.xml"
    whole.write_text(full(model), encoding="utf-8")
    less.write_text(difference(model), encoding="utf-8")

    pid = int(str(worker["pid"]))
    kill_while_it_writes(kafka, pid, lambda: send(kafka, whole))
    every = NODES + 2  # the feeder, and the header of the model
    seen = set()
    deadline = time.monotonic() + PATIENCE_S
    while every not in seen:
        seen.add(len(of(kafka, LOG, model)))
        assert time.monotonic() < deadline, seen
    assert seen <= {0, every}
    events = awaited(kafka, LOG, model, every)
    assert set(Counter(event.key for event in events).values()) == {1}
    assert len(present(kafka, model)) == every

    send(kafka, less)
    changed = awaited(kafka, LOG, model, every + 3)[every:]
    verbs = {(event.key or b"").decode(): dict(event.headers)["ce_verb"] for event in changed}
    assert verbs == {f"{model}-v1": b"change", f"{model}-0": b"change", f"{model}-1": b"delete"}
    names = present(kafka, model)
    assert len(names) == every - 1
    assert names[f"{model}-0|{model}-v1".encode()] == "after"

    send(kafka, whole)
    send(kafka, less)
    awaited(kafka, OUTBOUND, model, 4)
    assert len(of(kafka, LOG, model)) == every + 3

    last = tmp_path / "last.xml"
    last.write_text(full(model).replace(f"{model}-v1", f"{model}-v2"), encoding="utf-8")
    send(kafka, last, "--verb", "delete")
    awaited(kafka, LOG, model, every + 3 + every - 1)
    assert present(kafka, model) == {}
    assert subject.end() == 0
