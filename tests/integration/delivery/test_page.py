"""docs/delivery.md does what it says: its commands, in order, and what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.destinations import Destination, load_destinations
from tests.docs.test_readme import pattern
from tests.integration.data_rig import cimstream, make_topics
from tests.integration.delivery.rig import destinations, make_deliverer, work_order
from tests.integration.gateway.rig import make_gateway
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run
from topics import load_catalogue

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```\n```text\n(.*?)```", PAGE, re.DOTALL)
NAME = "CREW-NORTH"
TLS = {"ca_file", "certificate_file", "key_file"}
SOAP = {"soap_version", "username"}


@pytest.fixture(scope="module")
def kafka(own_kafka: str) -> str:
    """One that nobody else sends to."""
    return own_kafka


@pytest.mark.integration
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="it needs curl")
def test_the_examples_of_the_page_do_what_it_says(kafka: str, tmp_path: Path) -> None:
    """The whole way: each example that pulls gets a work order that was sent just before."""
    make_topics(kafka)
    file = destinations(tmp_path, **{NAME: {"kind": "pull", "visibility_s": 60}})
    command = tmp_path / "cimstream"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m streams.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    known = {
        **os.environ, "CIMSTREAM_BOOTSTRAP": kafka, "PYTHONPATH": str(ROOT),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }  # fmt: skip
    with (
        contextmanager(make_run)(kafka, tmp_path) as start_run,
        contextmanager(make_deliverer)(kafka) as start_deliverer,
        contextmanager(make_gateway)(kafka) as start_gateway,
    ):
        start_run("--interface", "I4").await_event("partitions assigned")
        start_deliverer(file)
        gateway = start_gateway("--destinations-file", str(file))
        for commands, printed in BLOCKS:
            if "curl" in commands:
                order = tmp_path / "order.xml"
                order.write_bytes(work_order(uuid.uuid4().hex, uuid.uuid4().hex, NAME))
                assert cimstream(kafka, "send", order, "-i", "I4").returncode == 0
            done = subprocess.run(
                ["bash", "-c", commands.replace("http://localhost:8080", gateway.url)],
                cwd=tmp_path, env=known, capture_output=True, text=True, timeout=PATIENCE_S,
                check=False,
            )  # fmt: skip
            shown = [line for line in printed.splitlines() if not pattern(line).search(done.stdout)]
            assert (done.returncode, shown) == (0, []), f"{commands}\n---\n{done.stdout}"
    assert len(BLOCKS) == 3


def test_the_file_of_the_page_is_accepted(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    secret = tmp_path / "token"
    secret.write_text("Bearer x", encoding="utf-8")
    file = tmp_path / "destinations.toml"
    file.write_text(
        block[1].replace("/etc/cimstream/crew-south.token", str(secret)), encoding="utf-8"
    )
    found = load_destinations(file, load_catalogue())
    assert found["CREW-SOUTH"].credential() == "Bearer x"
    # What the page says of a default is the default.
    said = tomllib.loads(block[1])["destinations"]["CREW-SOUTH"]
    plain = Destination(kind="rest", url="https://crew.example")
    given = {"kind", "url", "credential_file"}
    defaults = {key: value for key, value in said.items() if key not in given}
    assert {key: _plain(getattr(plain, key)) for key in defaults} == defaults
    assert defaults.keys() | given | TLS | SOAP == Destination.model_fields.keys() - {
        "visibility_s"
    }
    assert found["CREW-NORTH"].visibility_s == plain.visibility_s


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
