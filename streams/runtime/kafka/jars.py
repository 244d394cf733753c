"""Kafka's jars, brought once by Maven, and a Java that can run them.

Lives here: finding Java and Maven, the cache of jars. Must not live here: running a broker.

Invariant: a folder in the cache is complete; it gets its name only when everything is in it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from streams.runtime.kafka.errors import WAYS_OUT, BrokerError

JAVA_MAJOR_MIN: Final = 17  # what Kafka 4 is compiled for

# 45 MB over a slow line: 1 Mbit/s takes six minutes.
_DOWNLOAD_S: Final = 900.0
_ANSWER_S: Final = 20.0


def kafka_version() -> str:
    """Give the version of the Kafka that pom.xml names."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", _pom())
    if found is None:
        raise AssertionError("pom.xml has no kafka.version")
    return found.group(1)


def find_java() -> Path | None:
    """Give the machine's `java`: that of JAVA_HOME if it has one, else the first on the path."""
    return _find("JAVA_HOME", "java")


def find_maven() -> Path | None:
    """Give the machine's `mvn`: that of MAVEN_HOME if it has one, else the first on the path."""
    return _find("MAVEN_HOME", "mvn")


def java_major(java: Path) -> int | None:
    """Give the major version this `java` says it is; None where it does not run or say."""
    try:
        answer = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=_ANSWER_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)(?:\.(\d+))?', answer.stderr + answer.stdout)
    if found is None:
        return None
    major = int(found.group(1))
    return int(found.group(2) or 0) if major == 1 else major  # Java 8 calls itself 1.8


def require_java() -> Path:
    """Give a `java` that can run Kafka.

    Raises:
        BrokerError: `java_missing`, `java_too_old`.
    """
    java = find_java()
    if java is None:
        raise BrokerError("java_missing", what="no Java was found on this machine", fix=WAYS_OUT)
    major = java_major(java)
    if major is None or major < JAVA_MAJOR_MIN:
        raise BrokerError(
            "java_too_old",
            what=f"Kafka {kafka_version()} needs Java {JAVA_MAJOR_MIN} or newer",
            where=str(java),
            why="it does not say its version" if major is None else f"this is Java {major}",
            fix=f"set JAVA_HOME to a newer one; or {WAYS_OUT}",
        )
    return java


def cached_jars(cache_folder: Path) -> Path | None:
    """Give the folder of jars where an earlier call brought them, else None."""
    folder = _cache_entry(cache_folder)
    return folder if folder.is_dir() else None


def require_jars(cache_folder: Path) -> Path:
    """Give a folder with all jars of Kafka, brought by Maven if they are not in the cache.

    Takes some seconds and 45 MB the first time; later calls need neither Maven nor network.

    Raises:
        BrokerError: `maven_missing`, or `jars_unavailable` where Maven fails.
    """
    if (cached := cached_jars(cache_folder)) is not None:
        return cached
    maven = find_maven()
    if maven is None:
        raise BrokerError(
            "maven_missing",
            what=f"the jars of Kafka {kafka_version()} are not here, and no Maven to bring them",
            fix=WAYS_OUT,
        )
    cache_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="incoming-", dir=cache_folder) as incoming:
        jars = Path(incoming, "jars")
        _run_maven(maven, jars)
        target = _cache_entry(cache_folder)
        try:
            jars.rename(target)
        except OSError:  # someone else was faster; theirs is complete, or there is nothing there
            if not target.is_dir():
                raise
    return target


def _run_maven(maven: Path, target: Path) -> None:
    with as_file(files("streams.runtime.kafka") / "pom.xml") as pom:
        command = [
            str(maven), "--quiet", "--batch-mode", "--file", str(pom),
            "dependency:copy-dependencies", f"-DoutputDirectory={target}", "-DincludeScope=runtime",
        ]  # fmt: skip
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_S, check=True)
        except subprocess.CalledProcessError as error:
            lines = [line for line in error.stdout.splitlines() if line.startswith("[ERROR]")]
            reason = (
                lines[0].removeprefix("[ERROR]").strip() if lines else f"exit {error.returncode}"
            )
        except subprocess.TimeoutExpired:
            reason = f"not done after {_DOWNLOAD_S:.0f} s"
        except OSError as error:
            reason = str(error)
        else:
            return
    raise BrokerError(
        "jars_unavailable",
        what=f"Maven could not bring the jars of Kafka {kafka_version()}",
        where=str(maven),
        why=reason[:500],
        fix=f"see that Maven reaches its repository (network, proxy, settings.xml); or {WAYS_OUT}",
    )


def _find(home: str, name: str) -> Path | None:
    if folder := os.environ.get(home):
        program = Path(folder, "bin", name)
        if os.access(program, os.X_OK):
            return program
    found = shutil.which(name)
    return Path(found) if found else None


def _pom() -> str:
    return (files("streams.runtime.kafka") / "pom.xml").read_text(encoding="utf-8")


def _cache_entry(cache_folder: Path) -> Path:
    # The digest, so that a changed pom.xml of the same Kafka version is another entry.
    digest = hashlib.sha256(_pom().encode()).hexdigest()[:8]
    return cache_folder / f"kafka-{kafka_version()}-{digest}"
