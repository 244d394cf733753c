"""The tour of the README, run as it is written: its commands, in order, and what they print.

A block ```sh is run; the block ```text behind it is what it must print. There, `…` stands for
anything, an offset for any offset, and blanks for blanks.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = README.partition("## A tour of five minutes")[2].partition("\n## ")[0]
# Longest wait for a block to end, or to print what it must; a busy machine takes its time.
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Step:
    commands: str
    printed: tuple[str, ...]


def steps() -> list[Step]:
    blocks = re.findall(r"```sh\n(.*?)```(?:\n```text\n(.*?)```)?", TOUR, re.DOTALL)
    return [Step(sh, tuple(text.splitlines())) for sh, text in blocks]


def pattern(line: str) -> re.Pattern[str]:
    """What a line of the README stands for."""
    pieces = (re.escape(piece.strip()) for piece in line.split("…"))
    text = r".*".join(re.sub(r"(\\ )+", r"\\s+", piece) for piece in pieces)
    text = re.sub(r"(?<=/)\d+@\d+", r"\\d+@\\d+", text)
    return re.compile(rf"^\s*{text}\s*$", re.MULTILINE)


class Shell:
    """One bash for the whole tour, as a reader has one terminal."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._output = folder / "shell.out"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash"],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._steps = 0

    def run(self, commands: str, printed: tuple[str, ...]) -> None:
        """Run a block; where it only looks, again until it prints what it must."""
        deadline = time.monotonic() + PATIENCE_S
        looking = not re.search(r"\b(send|up|apply|down|kill|run|rm)\b", commands)
        while True:
            status, output = self._once(commands)
            missing = [line for line in printed if line and not pattern(line).search(output)]
            if status == 0 and not missing:
                return
            if not looking or time.monotonic() > deadline:
                raise AssertionError(
                    f"exit status {status}; not printed: {missing}\n{commands}\n---\n{output}"
                )
            time.sleep(0.2)

    def _once(self, commands: str) -> tuple[int, str]:
        self._steps += 1
        mark = f"--- step {self._steps} ended with"
        pipe = self._process.stdin
        assert pipe is not None
        start = self._output.stat().st_size
        # The last command's status, as a person would see it; `set -e` would end the shell.
        pipe.write(f"{commands}\necho '{mark}' $?\n")
        pipe.flush()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            output = self._output.read_bytes()[start:].decode()
            if found := re.search(rf"^{re.escape(mark)} (\d+)\n", output, re.MULTILINE):
                return int(found[1]), output[: found.start()]
            assert self._process.poll() is None, f"the shell ended:\n{output}"
            time.sleep(0.05)
        raise AssertionError(f"does not end:\n{commands}\n---\n{self._output.read_text()}")

    def close(self) -> None:
        """End the shell and what it left running."""
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write("kill $(jobs -p) 2>/dev/null; wait; cimstream broker down\n")
        pipe.close()
        self._process.wait(60)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A terminal in a folder of its own, with ports that are free."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CIMSTREAM")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CIMSTREAM__BROKER__PORT": "0",
        "CIMSTREAM__BROKER__HEAP_MB": "512",
        "LANG": "C.UTF-8",
    }
    one = Shell(tmp_path, environment)
    yield one
    one.close()


# What a reader's machine has and the folder of this test has not.
SET_UP = ("make setup", ". .venv/bin/activate")


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("java") and shutil.which("curl") and shutil.which("bash")),
    reason="the tour starts a broker on Java and asks with curl",
)
def test_the_tour_does_what_the_readme_says(shell: Shell) -> None:
    port, door, beside = free_port(), free_port(), free_port()
    for step in steps():
        if step.commands.startswith(SET_UP[0]):
            assert step.commands.split("\n")[:-1] == list(SET_UP)
            continue
        commands = step.commands.replace("cimstream run ", f"cimstream run --http-port {port} ")
        commands = commands.replace("localhost:9464", f"localhost:{port}")
        ports = f"--port {door} --health-port {beside}"
        commands = commands.replace("cimstream gateway ", f"cimstream gateway {ports} ")
        commands = commands.replace("localhost:8080", f"localhost:{door}")
        commands = commands.replace("localhost:9480", f"localhost:{beside}")
        # What was sent is processed a moment later: sending and looking are separate steps.
        *first, last = commands.strip().split("\n")
        if last.startswith("cimstream stats"):
            shell.run("\n".join(first), ())
            commands = last
        shown = tuple(line.replace("127.0.0.1:19092", "…") for line in step.printed)
        shell.run(commands, shown)


def test_the_tour_has_its_stations_in_order() -> None:
    stations = ["broker up", "topics apply", "cimstream run", "cimstream send", "stats", "tail",
                "dlq list", "dlq show", "kill -9", "/metrics", "cimstream gateway",
                "broker down"]  # fmt: skip
    commands = "".join(step.commands for step in steps())
    places = [commands.index(station) for station in stations]
    assert places == sorted(places)


def test_what_the_readme_links_to_is_there() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"),
                 ROOT / "examples" / "README.md"):  # fmt: skip
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} -> {link}"
