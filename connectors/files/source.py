"""A folder as a source: each file one message, each state of a file sent once.

Guarantee: exactly-once into Kafka. Position: per file, key = path below the folder, value =
JSON of size, modification time and SHA-256 of what was sent. A file whose size or time differs
is read again; if its digest differs too, it is a new message. What intake makes of two messages
with one identity is not this module's business.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pydantic import ValidationError

from connectors.api import Batch, PeerUnavailableError, Received, Skipped, SourceConfigError
from connectors.files import client
from connectors.files.client import Content, Found, Reading
from connectors.files.config import After, FilesConfig
from connectors.files.mapping import (
    Position,
    decode_position,
    encode_position,
    position_key,
    shown,
    to_record,
)
from connectors.inbound import REFUSED_HEAD_BYTES, UnknownInterfaceError
from connectors.models import room
from connectors.trace import new_traceparent
from topics import Catalogue

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000


class FolderSource:
    """Watches one folder. See the module's docstring for guarantee and position."""

    def __init__(
        self,
        name: str,
        config: FilesConfig,
        catalogue: Catalogue,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        trace: Callable[[], str] = new_traceparent,
    ) -> None:
        """Nothing is touched before `check` or `open`; clocks and trace are there for tests.

        `wall_ns` gives epoch nanoseconds UTC; it is compared with the file system's change
        times. `trace` gives the trace context of each message.
        """
        self.name = name
        self._config = config
        self._catalogue = catalogue
        self._wall_ns = wall_ns
        self._monotonic = monotonic
        self._trace = trace
        self._reading: Reading | None = None
        self._reset({})

    def check(self) -> None:
        """Look at the folder, and at the one for done files if there is one."""
        folder, after = self._config.folder, self._config.after
        if not folder.is_dir():
            raise SourceConfigError(
                self.name, what="what it watches is no folder", where=str(folder), fix="make it"
            )
        needed = os.R_OK | os.X_OK | (0 if after is After.KEEP else os.W_OK)
        if not os.access(folder, needed):
            raise SourceConfigError(
                self.name,
                what=f"no right to {'read' if after is After.KEEP else 'change'} the folder",
                where=str(folder),
                fix="give it to the user that runs cimstream",
            )
        if after is After.MOVE:
            self._check_done()

    def open(self, positions: Mapping[bytes, bytes]) -> None:
        """Begin a walk; files whose state is in `positions` were sent already."""
        self.close()
        self._reset(positions)

    def poll(self, records_max: int, timeout_s: float) -> Batch | None:
        """Files that are new or changed since they were last sent, in the order of the walk."""
        deadline = self._monotonic() + timeout_s
        records: list[Received] = []
        positions: dict[bytes, bytes | None] = dict.fromkeys(self._forgotten)
        self._forgotten.clear()
        batch_bytes = 0
        while len(records) < records_max and batch_bytes < self._config.batch_bytes_max:
            reading = self._reading or self._next()
            if reading is None:
                break
            finished, content = self._advance(reading, deadline)
            self._reading = None if finished else reading
            if not finished:
                break
            if content is not None:
                received = self._take(reading.found, content, positions)
                if received is not None:
                    records.append(received)
                    batch_bytes += len(received.message.value)
            if self._monotonic() >= deadline:
                break
        skipped = tuple(self._skipped)
        self._skipped.clear()
        if not (records or positions or skipped):
            return None
        return Batch(tuple(records), positions, skipped)

    def committed(self, batch: Batch) -> tuple[Skipped, ...]:
        """Delete or move the files of the batch, where so configured."""
        for key, position in batch.positions.items():
            # Another value means that a later, uncommitted batch has the file changed since.
            if position is not None and self._positions.get(key) == decode_position(position):
                self._tidy(key, self._handed.pop(key))
        skipped = tuple(self._skipped)
        self._skipped.clear()
        return skipped

    def close(self) -> None:
        """Close the file being read, if any."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _reset(self, positions: Mapping[bytes, bytes]) -> None:
        decoded = ((key, decode_position(value)) for key, value in positions.items())
        self._positions = {key: position for key, position in decoded if position is not None}
        self._handed: dict[bytes, Found] = {}  # in a batch, not yet committed
        self._forgotten: list[bytes] = []  # tidied away; their positions go with the next batch
        self._skipped: list[Skipped] = []
        self._reported: set[tuple[str, str]] = set()  # each complaint once per opening
        self._files: Iterator[Found] | None = None
        self._scan_due = self._monotonic()

    def _next(self) -> Reading | None:
        """Open the next file that must be read; None at the end of a walk or between walks."""
        if self._files is None:
            if self._monotonic() < self._scan_due:
                return None
            self._files = client.walk(self._config.folder, self._skip)
        try:
            for found in self._files:
                if self._wanted(found):
                    reading = self._open(found)
                    if reading is not None:
                        return reading
        except OSError as error:
            self._files = None
            raise PeerUnavailableError(
                f"source {self.name!r}: {self._config.folder} cannot be listed: {error.strerror}"
            ) from error
        self._files = None
        self._scan_due = self._monotonic() + self._config.scan_interval_s
        return None

    def _wanted(self, found: Found) -> bool:
        age_ns = self._wall_ns() - found.changed_ns
        if age_ns < self._config.settle_s * _NS_PER_S:
            return False
        key = position_key(found.relative)
        position = self._positions.get(key)
        if position is None or not position.matches(found.stamp):
            return True
        if key not in self._handed:
            # Committed, then we died before it was tidied away.
            self._tidy(key, found)
        return False

    def _open(self, found: Found) -> Reading | None:
        try:
            return Reading(
                found,
                bytes_max=self._catalogue.bytes_max(self._config.interface),
                head_bytes=REFUSED_HEAD_BYTES,
                room=room,
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            self._skip(found.relative, f"cannot be read: {error.strerror}", "mend its rights")
            return None

    def _advance(self, reading: Reading, deadline: float) -> tuple[bool, Content | None]:
        """Read on until the file or the time ends: whether it ended, and what was in it.

        Ended without content: the file changed meanwhile or broke off; the next walk decides.
        """
        try:
            while not reading.step():
                if self._monotonic() >= deadline:
                    return False, None
        except OSError as error:
            self._skip(reading.found.relative, f"cannot be read: {error.strerror}", "try a copy")
            reading.close()
            return True, None
        reading.close()
        return True, reading.content()

    def _take(
        self, found: Found, content: Content, positions: dict[bytes, bytes | None]
    ) -> Received | None:
        """Note the file's new position; its record, unless only its time has changed."""
        key = position_key(found.relative)
        before = self._positions.get(key)
        after = Position(content.size, found.stamp.mtime_ns, content.sha256)
        self._positions[key] = after
        positions[key] = encode_position(after)
        self._handed[key] = found
        if before is not None and before.sha256 == content.sha256:
            return None
        origin = shown(found.relative)
        message = to_record(
            content,
            self._config.interface,
            self._catalogue,
            received_ms=self._wall_ns() // _NS_PER_MS,
            origin=f"{self.name}: {origin}",
            traceparent=self._trace(),
        )
        return Received(message, origin)

    def _tidy(self, key: bytes, found: Found) -> None:
        """Do with a sent file what the settings say; leave it if it is another one by now."""
        if self._config.after is After.KEEP:
            return
        try:
            if self._config.after is After.DELETE:
                gone = client.remove(found)
            else:
                gone = client.move(found, self._config.done, self._positions[key].sha256)
        except OSError as error:
            self._skip(
                found.relative,
                f"was sent, but could not be tidied away: {error.strerror}",
                "give us the right to change the folder, or set after = 'keep'",
            )
            return
        if gone:
            del self._positions[key]
            self._forgotten.append(key)

    def _skip(self, relative: str, why: str, fix: str) -> None:
        if (relative, why) not in self._reported:
            self._reported.add((relative, why))
            self._skipped.append(Skipped(shown(relative), why, fix))

    def _check_done(self) -> None:
        done = self._config.done
        try:
            done.mkdir(parents=True, exist_ok=True)
            same_device = done.stat().st_dev == self._config.folder.stat().st_dev
        except OSError as error:
            raise SourceConfigError(
                self.name,
                what=f"the folder for done files cannot be used: {error.strerror}",
                where=str(done),
                fix="name another done_folder",
            ) from error
        if not same_device:
            raise SourceConfigError(
                self.name,
                what="files cannot be moved to another file system in one step",
                where=str(done),
                fix=f"name a done_folder on the file system of {self._config.folder}",
            )


def from_settings(name: str, settings: Mapping[str, object], catalogue: Catalogue) -> FolderSource:
    """A folder source from its settings.

    Raises:
        SourceConfigError: names each setting that is wrong.
        UnknownInterfaceError: the catalogue has no such interface.
    """
    try:
        config = FilesConfig.model_validate(settings)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, issue['loc'])) or 'settings'}: {issue['msg']}"
            for issue in error.errors(include_input=False, include_url=False)
        )
        raise SourceConfigError(
            name, what=f"wrong settings: {wrong}", fix="see connectors/files/README.md"
        ) from error
    if config.interface not in catalogue.interfaces:
        raise UnknownInterfaceError(config.interface, catalogue.interfaces)
    return FolderSource(name, config, catalogue)
