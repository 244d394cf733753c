"""What an operator sets of deliveries; a section of `streams.runtime.settings`.

Must not live here: the destinations themselves (`connectors.destinations`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Delivery(BaseModel):
    """Send/Receive: `cimstream deliver`, and the gateway for systems that pull."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    destinations_file: Path | None = Field(
        default=None, description="the systems that messages are delivered to, and how"
    )
    processes: int = Field(default=1, ge=1, le=64, description="processes of this machine")
    first_slot: int | None = Field(
        default=None,
        ge=0,
        description="number of the first process; empty: the lowest that are free on this machine",
    )
    health_port: int = Field(
        default=9500,
        ge=0,
        le=65_000,
        description="/metrics and /health of process 0, process n has port + n; 0: a free one",
    )
