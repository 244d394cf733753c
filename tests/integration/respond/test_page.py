"""docs/requests.md does what it says: its commands, in order, and what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.test_readme import pattern
from tests.integration.data_rig import ROOT, cimstream
from tests.integration.gateway.rig import GatewayRun, make_gateway
from tests.integration.service import PATIENCE_S
from tests.integration.test_run import make_run

PAGE = (ROOT / "docs" / "requests.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```\n```text\n(.*?)```", PAGE, re.DOTALL)
SENT = re.findall(r"cimstream send (\S+) --interface (\S+)", PAGE)


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayRun]:
    """A gateway; behind it a pipeline, a view and its responder."""
    folder = tmp_path_factory.mktemp("run")
    database = folder / "view.sqlite"
    with contextmanager(make_run)(kafka, folder) as start_run:
        start_run(
            "--interface", "I1", "--interface", "I6",
            CIMSTREAM__VIEWS__FOLLOW="true",
            CIMSTREAM__VIEWS__DATABASE=str(database),
            CIMSTREAM__VIEWS__HTTP_PORT="0",
            CIMSTREAM__RESPOND__HTTP_PORT="0",
        ).await_event("responder started")  # fmt: skip
        with contextmanager(make_gateway)(kafka) as start_gateway:
            yield start_gateway()


@pytest.mark.integration
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="it needs curl")
def test_the_queries_of_the_page_are_answered_as_it_says(
    gateway: GatewayRun, kafka: str, tmp_path: Path
) -> None:
    assert len(BLOCKS) == 3
    for file, interface in SENT:
        assert cimstream(kafka, "send", ROOT / file, "--interface", interface).returncode == 0
    for commands, printed in BLOCKS:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            # The view follows a moment behind; a query that found less is asked under a new ID.
            fresh = str(time.monotonic_ns())
            run = commands.replace("http://localhost:8080", gateway.url)
            for name in re.findall(r"examples/queries/[\w-]+\.xml", run):
                text = (ROOT / name).read_text(encoding="utf-8")
                (tmp_path / Path(name).name).write_text(re.sub("5b9c8f5e", fresh, text))
                run = run.replace(name, Path(name).name)
            done = subprocess.run(
                ["bash", "-c", run],
                cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=PATIENCE_S,
                check=False,
            )  # fmt: skip
            shown = [line for line in printed.splitlines() if not pattern(line).search(done.stdout)]
            if (done.returncode, shown) == (0, []):
                break
            assert time.monotonic() < deadline, f"{commands}\n---\n{done.stdout}"
