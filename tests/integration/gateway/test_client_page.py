"""docs/client.md does what it says: its examples, in order, and what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.test_readme import pattern
from tests.integration.gateway.rig import GatewayRun, make_gateway, new_source
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def kafka(own_kafka: str) -> str:
    """One that nobody else sends to."""
    return own_kafka


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayRun]:
    """A gateway with what answers behind it."""
    with contextmanager(make_run)(kafka, tmp_path_factory.mktemp("run")) as start_run:
        start_run("--interface", "I1").await_event("partitions assigned")
        with contextmanager(make_gateway)(kafka) as start_gateway:
            yield start_gateway()


@pytest.mark.integration
def test_the_examples_of_the_client_do_what_the_page_says(
    gateway: GatewayRun, tmp_path: Path
) -> None:
    assert len(BLOCKS) >= 8
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # A cluster that was named has what an earlier run of this test made.
    fresh = {
        "http://localhost:8080": gateway.url,
        "7d3c1f0e-52a1-4a7e-9a39-0c6f6a1c2b11": str(uuid.uuid4()),
        "OMS-WEST": new_source(),
    }
    for language, code, printed in BLOCKS:
        for written, meant in fresh.items():
            code = code.replace(written, meant)  # noqa: PLW2901 - the same code
        shell = [sys.executable, "-c"] if language == "python" else ["sh", "-ec"]
        done = subprocess.run(
            [*shell, code],
            cwd=tmp_path, env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S,
            check=False,
        )  # fmt: skip
        shown = [line for line in printed.splitlines() if not pattern(line).search(done.stdout)]
        assert shown == [], f"{code}\n---\n{done.stdout}"


def test_every_python_block_prints_what_stands_below_it() -> None:
    assert len(re.findall(r"```python\n", PAGE)) == sum(kind == "python" for kind, *_ in BLOCKS)
