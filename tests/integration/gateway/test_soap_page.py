"""docs/soap.md does what it says: its commands and its Python, in order, and what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.access import load_access
from tests.docs.test_readme import pattern
from tests.integration.gateway.rig import GatewayRun, make_gateway
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run
from topics import load_catalogue

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "soap.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def kafka(own_kafka: str) -> str:
    """One that nobody else sends to."""
    return own_kafka


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayRun]:
    """A gateway with what answers behind it."""
    with contextmanager(make_run)(kafka, tmp_path_factory.mktemp("run")) as start_run:
        start_run("--interface", "I1").await_event("partitions assigned")
        nonces = str(tmp_path_factory.mktemp("nonces") / "nonces.sqlite")
        with contextmanager(make_gateway)(kafka) as start_gateway:
            yield start_gateway(CIMSTREAM__SOAP__NONCE_FILE=nonces)


@pytest.mark.integration
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="it needs curl")
def test_the_examples_of_the_page_do_what_it_says(gateway: GatewayRun, tmp_path: Path) -> None:
    assert {language for language, _, _ in BLOCKS} == {"sh", "python"}
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for language, text, printed in BLOCKS:
        commands = text.replace("http://localhost:8080", gateway.url)
        command = ["bash", "-c"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*command, commands], cwd=tmp_path, env=os.environ, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        shown = [line for line in printed.splitlines() if not pattern(line).search(done.stdout)]
        assert (done.returncode, shown) == (0, []), f"{commands}\n---\n{done.stdout}{done.stderr}"


def test_the_access_file_of_the_page_is_accepted(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    file = tmp_path / "access.toml"
    file.write_text(block[1], encoding="utf-8")
    found = load_access(file, load_catalogue()).sources["EMS-1"]
    assert found.password_file == Path("/etc/cimstream/ems-1.password")
    assert found.signing_certificate_files == (Path("/etc/cimstream/ems-1.pem"),)
