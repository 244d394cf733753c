"""docs/gateway.md does what it says: its commands, in order, and what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.access import load_access
from tests.docs.test_readme import pattern
from tests.integration.gateway.rig import GatewayRun, make_gateway, view_in
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run
from topics import load_catalogue

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def kafka(own_kafka: str) -> str:
    """One that nobody else sends to."""
    return own_kafka


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayRun]:
    """A gateway with what answers behind it."""
    folder = tmp_path_factory.mktemp("run")
    with contextmanager(make_run)(kafka, folder) as start_run:
        start_run(**view_in(folder)).await_event("partitions assigned")
        with contextmanager(make_gateway)(kafka) as start_gateway:
            yield start_gateway(**view_in(folder))


@pytest.mark.integration
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="it needs curl")
def test_the_examples_of_the_page_do_what_it_says(gateway: GatewayRun, tmp_path: Path) -> None:
    assert len(BLOCKS) >= 5
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for commands, printed in BLOCKS:
        done = subprocess.run(
            ["bash", "-c", commands.replace("http://localhost:8080", gateway.url)],
            cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=PATIENCE_S,
            check=False,
        )  # fmt: skip
        shown = [line for line in printed.splitlines() if not pattern(line).search(done.stdout)]
        assert (done.returncode, shown) == (0, []), f"{commands}\n---\n{done.stdout}"


def test_the_access_file_of_the_page_is_accepted(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    file = tmp_path / "access.toml"
    file.write_text(block[1], encoding="utf-8")
    found = load_access(file, load_catalogue()).sources
    assert found["HES-NORTH"].requests_per_s == 500
    assert found["HES-NORTH"].allow[0].allows("I7", "MeterReadings", "created")
    assert not found["HES-NORTH"].allow[0].allows("I7", "MeterReadings", "delete")
