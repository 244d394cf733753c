"""Replay: intake once more over what lies in inbound, with every output led elsewhere."""

from streams.processors.replay.differences import Differences, Row
from streams.processors.replay.identities import Identities
from streams.processors.replay.outlets import IntoLog, IntoSide, Nowhere, Rehearsed, Remaining
from streams.processors.replay.replay import Outlet, Replay

__all__ = [
    "Differences",
    "Identities",
    "IntoLog",
    "IntoSide",
    "Nowhere",
    "Outlet",
    "Rehearsed",
    "Remaining",
    "Replay",
    "Row",
]
