"""Why no broker could be had.

Lives here: the error and the three ways to a broker. Must not live here: when it is raised.

Invariant: whatever went wrong, the message names a way that can work on this machine.
"""

from __future__ import annotations

from typing import Final

from topics.errors import EXIT_UNAVAILABLE, OperatorError

WAYS_OUT: Final = (
    "use a Kafka that runs already (CIMSTREAM_BOOTSTRAP=host:port), or start a Docker engine,"
    " or install Java 17 or newer and Maven; `cimstream doctor` says what is missing"
)


class BrokerError(OperatorError):
    """There is no broker, or it does not end; `code` says why.

    Codes: java_missing, java_too_old, maven_missing, jars_unavailable, port_in_use,
    folder_foreign, broker_busy, start_failed, stop_failed.
    """

    def __init__(self, code: str, *, what: str, where: str = "", why: str = "", fix: str) -> None:
        super().__init__(code, what=what, where=where, why=why, fix=fix, exit_code=EXIT_UNAVAILABLE)
