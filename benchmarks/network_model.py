"""`python -m benchmarks.network_model`: a network model of 200,000 objects, read and checked.

Each step runs in a process of its own, so that its memory is its own. With --kafka the model goes
through a real one as well, from the message to the log. The model is made of
feeders: per pole a node, a line with its two terminals, a customer's load with terminal and
location, every other reference leading forward in the document, as exporters write classes one
after the other.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

from rich.console import Console
from rich.table import Table

from benchmarks import model_log
from benchmarks.cluster import make_topics
from schemas import rdf
from schemas.rdf.checks import ModelCheck
from schemas.rdf.writer import write
from streams.runtime import broker

_CIM = "http://iec.ch/TC57/CIM100#"
_PER_POLE = 7
_POLES_OF_A_FEEDER = 500
_PIECE_BYTES = 64 * 1024


def lines(objects: int) -> Iterator[str]:
    """A model of about that many objects, in pieces of text."""
    poles = objects // _PER_POLE
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF xmlns:cim="'
        f'{_CIM}" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    )
    for number in range(poles):
        yield _one("ACLineSegment", f"line{number}", {
            "IdentifiedObject.name": f"line {number}", "Conductor.length": f"{40 + number % 30}.5",
            "ACLineSegment.r": "0.0121", "ACLineSegment.x": "0.0204",
        }, {"Equipment.EquipmentContainer": f"feeder{number // _POLES_OF_A_FEEDER}",
            "ConductingEquipment.BaseVoltage": "voltage"})  # fmt: skip
    for number in range(poles):
        for end, node in ((1, number), (2, (number + 1) % poles)):
            yield _one("Terminal", f"terminal{number}.{end}", {
                "ACDCTerminal.sequenceNumber": str(end),
            }, {"Terminal.ConductingEquipment": f"line{number}",
                "Terminal.ConnectivityNode": f"node{node}",
            }, {"Terminal.phases": "PhaseCode.ABC"})  # fmt: skip
        yield _one("Terminal", f"terminal{number}.3", {"ACDCTerminal.sequenceNumber": "1"}, {
            "Terminal.ConductingEquipment": f"load{number}",
            "Terminal.ConnectivityNode": f"node{number}",
        }, {"Terminal.phases": "PhaseCode.AN"})  # fmt: skip
    for number in range(poles):
        yield _one("EnergyConsumer", f"load{number}", {
            "IdentifiedObject.name": f"house {number}", "EnergyConsumer.customerCount": "3",
            "EnergyConsumer.p": "6200.0", "EnergyConsumer.q": "1400.0",
        }, {"Equipment.EquipmentContainer": f"feeder{number // _POLES_OF_A_FEEDER}",
            "PowerSystemResource.Location": f"place{number}"})  # fmt: skip
        yield _one("Location", f"place{number}", {"IdentifiedObject.name": f"pole {number}"}, {})
    for number in range(poles):
        yield _one("ConnectivityNode", f"node{number}", {"IdentifiedObject.name": f"{number}"}, {
            "ConnectivityNode.ConnectivityNodeContainer": f"feeder{number // _POLES_OF_A_FEEDER}",
        })  # fmt: skip
    for number in range(-(-poles // _POLES_OF_A_FEEDER)):
        yield _one("Feeder", f"feeder{number}", {"IdentifiedObject.name": f"feeder {number}"}, {})
    yield _one("BaseVoltage", "voltage", {"BaseVoltage.nominalVoltage": "12470"}, {})
    yield "</rdf:RDF>\n"


def _one(
    cls: str,
    name: str,
    values: dict[str, str],
    references: dict[str, str],
    literals: dict[str, str] | None = None,
) -> str:
    said = [f"  <cim:{key}>{value}</cim:{key}>" for key, value in values.items()]
    said += [f'  <cim:{key} rdf:resource="#_{_uuid(to)}"/>' for key, to in references.items()]
    said += [
        f'  <cim:{key} rdf:resource="{_CIM}{value}"/>' for key, value in (literals or {}).items()
    ]
    mrid = f"  <cim:IdentifiedObject.mRID>{_uuid(name)}</cim:IdentifiedObject.mRID>"
    body = "\n".join([mrid, *said])
    return f'<cim:{cls} rdf:ID="_{_uuid(name)}">\n{body}\n</cim:{cls}>\n'


def _uuid(name: str) -> str:
    return str(uuid5(NAMESPACE_OID, name))


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            yield piece


def step(name: str, file: Path) -> str:
    """Do one step on a model and say what it took: objects, faults, seconds, CPU seconds, MB."""
    began, cpu = time.perf_counter(), time.process_time()
    found = rdf.read(_pieces(file))
    count = faults = 0
    if name == "check":
        checking = ModelCheck()
        checking.document(file.name, found.header)
        for item in found:
            checking.object(item)
        report = checking.report()
        count, faults = report.objects, report.faults
    elif name == "write":
        count = sum(piece.startswith(b"<cim:") for piece in write(found.header, found))
    else:
        count = sum(1 for _ in found)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    # Linux says KiB, macOS bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mb = peak / 1024 / (1024 if sys.platform == "darwin" else 1)
    return f"{count} {faults} {seconds:.2f} {cpu:.2f} {mb:.0f}"


def main() -> int:
    """Measure and print; 1 where the model, which has no fault, was found to have some."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network_model")
    parser.add_argument("--objects", type=int, default=200_000)
    parser.add_argument("--kafka", action="store_true", help="send it through a real Kafka too")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(step(options.step[0], Path(options.step[1])))
        return 0
    table = Table("step", "objects", "faults", "seconds", "CPU seconds", "peak MB")
    wrong, figures = False, list[str]()
    with tempfile.TemporaryDirectory(prefix="cimstream-bench-") as folder:
        file = Path(folder) / "model.xml"
        with file.open("w", encoding="utf-8") as opened:
            opened.writelines(lines(options.objects))
        for name in ("read", "check", "write"):
            command = [sys.executable, "-m", "benchmarks.network_model", "--step", name, str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures = done.stdout.split()
            wrong = wrong or figures[1] != "0"
            table.add_row(name, *figures)
        size = file.stat().st_size
        entered = _through_kafka(Path(folder), file, int(figures[0])) if options.kafka else None
    console = Console()
    console.print(f"a model of {size / 1e6:.0f} MB; load average {os.getloadavg()[0]:.1f}")
    console.print(table)
    if entered is not None:
        console.print(_shown(entered))
    return 1 if wrong else 0


def _through_kafka(folder: Path, file: Path, objects: int) -> model_log.Entered:
    settings = broker.BrokerSettings(data_folder=folder / "kafka", port=0)
    with broker.broker_for(settings, os.environ) as info:
        make_topics(info.bootstrap)
        return model_log.measure(info.bootstrap, folder, file, objects + 1)


def _shown(entered: model_log.Entered) -> Table:
    table = Table("through Kafka", "", title_justify="left")
    for name, value in asdict(entered).items():
        table.add_row(name.replace("_", " "), f"{value:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
