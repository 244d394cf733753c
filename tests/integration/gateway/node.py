"""Node's SOAP client, a stack that shares nothing with ours or with zeep.

npm brings it once per virtual environment, as its lock file says; a test that cannot have it is
skipped with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.service import PATIENCE_S

HERE = Path(__file__).with_name("node_soap")
# A few MB; who has no registry is told so after the first try.
INSTALL_S = 120.0


def node_soap() -> Path:
    """The folder with the client in it."""
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    folder = Path(sys.prefix, f"node-soap-{lock[:16]}")
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not on the path")
    if not folder.exists():
        # Under its name when it is whole: tests run in several processes.
        incoming = folder.with_suffix(f".{os.getpid()}")
        shutil.copytree(HERE, incoming)
        try:
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0"],
                cwd=incoming, capture_output=True, timeout=INSTALL_S, check=True,
            )  # fmt: skip
        except subprocess.SubprocessError as error:
            shutil.rmtree(incoming)
            pytest.skip(f"npm cannot bring the SOAP client of Node: {error}")
        try:
            incoming.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(incoming)
    return folder


def called(folder: Path, **asked: Any) -> dict[str, Any]:
    """The outcome of one call: `result`, `fault` or `error`."""
    done = subprocess.run(
        ["node", str(HERE / "client.js")],
        input=json.dumps({"soap12": False, **asked}),
        env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome
