"""The access file while a gateway runs: read again when it changes.

Lives here: noticing a change, and what becomes of a file that cannot be used. Must not live here:
what the file says (`connectors.access`).

Invariant: a file that is half understood never holds, not even in part: the one before does.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from connectors.access import Access, Gatekeeper, load_access
from streams.runtime import metrics
from streams.runtime.logs import log
from topics import Catalogue
from topics.errors import OperatorError

# A key that was withdrawn opens the door so much longer.
_LOOK_S: Final = 2.0

_Stamp = bytes | None


class Admission:
    """The gatekeeper of one process, as the access file says now. One event loop."""

    def __init__(
        self, file: Path | None, catalogue: Catalogue, check: Callable[[Access], None]
    ) -> None:
        """Without a file the door is open. `check` refuses one that a door could not work by.

        Raises:
            OperatorError: there is none to begin with.
        """
        self._file = file
        self._catalogue = catalogue
        self._check = check
        self._stamp = _stamp(file)
        access = self._load(file) if file else None
        self.gatekeeper = Gatekeeper(access.sources, access.issuers) if access else Gatekeeper(None)
        metrics.GATEWAY_ACCESS_FILE.set(1)

    async def keep(self) -> None:
        """Follow the file and renew the keys of issuers, until cancelled."""
        while True:
            await self.tend()
            await asyncio.sleep(_LOOK_S)

    async def tend(self) -> None:
        """Look once."""
        stamp = _stamp(self._file)
        if self._file is not None and stamp != self._stamp:
            self._stamp = stamp
            await self._read_again(self._file)
        await self.gatekeeper.tend()

    def _load(self, file: Path) -> Access:
        access = load_access(file, self._catalogue)
        self._check(access)
        return access

    async def _read_again(self, file: Path) -> None:
        try:
            access = await asyncio.to_thread(self._load, file)
        except OperatorError as error:
            metrics.GATEWAY_ACCESS_FILE.set(0)
            told = {"code": error.code, "where": error.where, "why": error.why, "fix": error.fix}
            log("gateway", logging.ERROR, "access file refused, the one before holds", **told)
            return
        self.gatekeeper.change(access)
        metrics.GATEWAY_ACCESS_FILE.set(1)
        log("gateway", logging.INFO, "access file read again", sources=len(access.sources))


def _stamp(file: Path | None) -> _Stamp:
    """What changes when the file says something else; None where there is none to read."""
    try:
        return hashlib.sha256(file.read_bytes()).digest() if file else None
    except OSError:
        return None
