"""The process of a local broker: start it apart from us, know it again, end it.

Lives here: spawning, recognising and ending by process id and token. Must not live here:
folders, properties, readiness (`streams.runtime.broker`).

Invariant: a signal is sent only to a process whose command line holds the token it was
started with; a process id that has passed to someone else is never touched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# Kafka closes its logs in about a second; more is a hang.
_ORDERLY_S: Final = 10.0
_KILLED_S: Final = 30.0
_LOOK_S: Final = 0.05
_KERNEL_PARENT: Final = 2  # kthreadd; its threads have no command line either


def spawn(command: Sequence[str], token: str, output: Path) -> int:
    """Start a program in a session of its own, which our end does not reach; give its id.

    `token` is an argument, or part of one, that no other process has. Standard output and
    error go to `output`; nothing of ours is inherited. The process may have ended already.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        list(command),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    # For an instant after the call the process has no command line yet, and would pass for gone.
    while not is_ours(pid, token) and _child_runs(pid):
        time.sleep(_LOOK_S)
    return pid


def is_ours(pid: int, token: str) -> bool:
    """Say whether process `pid` runs and was started with `token` on its command line."""
    _child_runs(pid)  # one that we started and that ended is a zombie until it is waited for
    return token in _command_line(pid)


def end(pid: int, token: str, *, orderly: bool) -> bool:
    """End the process and its group; say whether it is gone, with all that it held.

    One that is not ours counts as gone and is left alone. One that is dying already is
    waited for: a JVM gives back its ports only after its memory, which may take seconds.

    Args:
        orderly: Ask first, and kill only what has not ended by then.
    """
    asked = [(signal.SIGTERM, _ORDERLY_S)] if orderly else []
    for number, patience_s in (*asked, (signal.SIGKILL, _KILLED_S)):
        if is_ours(pid, token):
            try:
                os.killpg(pid, number)  # the leader of a session leads a group of its number
            except ProcessLookupError:
                return True
        deadline = time.monotonic() + patience_s
        while not (gone := _is_gone(pid, token)) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if gone:
            return True
    return False


def _is_gone(pid: int, token: str) -> bool:
    if is_ours(pid, token):
        return False
    return bool(_command_line(pid)) or not _is_dying(pid)


def _is_dying(pid: int) -> bool:
    """Say whether a process without a command line is one that ends, and holds things still.

    On Linux a killed process first loses its memory, command line included, and then, thread
    by thread, its files and sockets. What is left is a zombie with a single thread.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    fields = stat.rpartition(")")[2].split()  # man 5 proc_pid_stat, from its third field on
    state, parent, threads = fields[0], int(fields[1]), int(fields[17])
    is_kernels = parent == _KERNEL_PARENT
    return not is_kernels and not (state in "ZX" and threads <= 1)


def _command_line(pid: int) -> str:
    """Give the arguments; "" for a process that has ended or is ending."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout


def _child_runs(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:  # not ours to wait for, or waited for already
        return False
