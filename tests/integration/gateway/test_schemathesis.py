"""Requests made from the OpenAPI document by schemathesis, against a real gateway.

What it sends is bounded and the same every time (a fixed seed). What it judges: no fault of the
server, and no status, media type, header or body that the document does not promise; and nothing
that the document excludes is taken.

Not judged: whether everything that fits the document is taken. What CIM XML must say is in its
profiles and not in a JSON Schema, so most of what is generated is refused for good reason.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.access import key_hash, new_key
from tests.integration.gateway.rig import GatewayRun, make_gateway, view_in, written
from tests.integration.test_run import make_run

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    "missing_required_header", "unsupported_method", "allow_header_conformance",
)  # fmt: skip
# Every kind of path: messages, answers, a register that can be deleted, a history. Others differ
# by the schema of the noun alone, and each schema is held to its noun by tests of its own.
# A subscription does not end by itself.
PATHS = "^/v1/I7/(messages|answers|UsagePointConfig|MeterReadings)(?!/events$)"
SOURCE, KEY = "HES-1", new_key()
ACCESS = f"""
[sources.{SOURCE}]
keys = ["{key_hash(KEY)}"]
[[sources.{SOURCE}.allow]]
interface = "*"
nouns = ["*"]
verbs = ["*"]
"""
SECONDS = 1_200


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayRun]:
    folder = tmp_path_factory.mktemp("run")
    view = view_in(folder)
    with contextmanager(make_run)(kafka, folder) as start_run:
        start_run("--interface", "I1", **view).await_event("partitions assigned")
        with contextmanager(make_gateway)(kafka) as start_gateway:
            access = written(folder, ACCESS)
            yield start_gateway(
                "--access-file", str(access), CIMSTREAM__GATEWAY__WAIT_S="0.2", **view
            )


def test_requests_made_from_the_document_find_nothing(gateway: GatewayRun, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")), "run", f"{gateway.url}/openapi.json",
            "--header", f"X-API-Key: {KEY}", "--include-path-regex", PATHS,
            "--checks", ",".join(CHECKS),
            "--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "1",
            "--continue-on-failure", "--warnings", "off", "--suppress-health-check", "all",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:]
    assert "No issues found" in done.stdout, done.stdout
