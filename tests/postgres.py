"""A PostgreSQL server for the tests, of the machine's own packages.

Lives here: finding, starting and ending it. Must not live here: what is tested on it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_OWNER = "postgres"  # what Debian's package makes; the server refuses to run as root


@contextmanager
def postgres_server() -> Iterator[str]:
    """The folder of the socket of a fresh server; skips where none can be started."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed (initdb)")
    owner = pwd.getpwuid(os.getuid())
    if os.getuid() == 0:
        try:
            owner = pwd.getpwnam(_OWNER)
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    # A socket's path has at most 107 bytes: not below pytest's folder.
    folder = Path(tempfile.mkdtemp(prefix="cimstream-pg-"))
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    data, control = folder / "data", Path(initdb).with_name("pg_ctl")
    try:
        _run(owner, initdb, "-D", data, "-U", "cimstream", "-A", "trust", "-E", "UTF8", "-N")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        _run(owner, control, "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield str(folder)
        finally:
            _run(owner, control, "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _run(owner: pwd.struct_passwd, *command: str | Path) -> None:
    other = os.getuid() != owner.pw_uid
    done = subprocess.run(
        command,
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        user=owner.pw_uid if other else None,
        group=owner.pw_gid if other else None,
    )
    assert done.returncode == 0, done.stderr
