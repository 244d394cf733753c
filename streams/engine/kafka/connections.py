"""Whether a producer's connections held: librdkafka tells of it in its log and nowhere else.

Where a connection breaks, the library sends the request that waited on it again over a new one,
and says nothing. The first one may still be on its way. Of a request to end a transaction that
is the hole of KIP-890: it would end the next transaction of the same producer epoch.

Lives here: hearing of it. Must not live here: what follows (see `transactions`).
"""

from __future__ import annotations

import logging
from typing import Final

from streams.engine.kafka.settings import LOGGER

_FACILITY: Final = "FAIL"


class Connections:
    """The log of one producer, passed on, and whether it told of a broken connection.

    Lines come when the producer is polled.
    """

    def __init__(self) -> None:
        self.broken = False
        # Not one of the registry, which would keep it: it ends with its producer.
        self.logger = logging.Logger(LOGGER.name)  # noqa: LOG001
        self.logger.parent = LOGGER
        self.logger.setLevel(logging.INFO)  # whatever level people want to read
        self.logger.addFilter(self._hear)

    def _hear(self, record: logging.LogRecord) -> bool:
        """Note a broken connection; that it was closed is no news to anybody else."""
        told = record.getMessage().startswith(_FACILITY)
        self.broken = self.broken or told
        news = not told or record.levelno > logging.INFO
        return news and LOGGER.isEnabledFor(record.levelno)
