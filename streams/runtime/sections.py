"""What all sections of the settings are, and the sections that stand apart for their length.

Lives here: models of single sections. Must not live here: files, the environment (`settings`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of the settings file: nothing in it is unknown, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Respond(Section):
    """Who answers queries: `cimstream respond`."""

    functions: tuple[str, ...] = Field(
        default=(),
        description="responders of your own, each module:attribute; they are asked before the view",
    )
    from_view: bool = Field(
        default=True,
        description="whether queries that none of the functions answers are answered from the view",
    )
    leave: tuple[str, ...] = Field(
        default=(), description="nouns to leave to responders of another make"
    )
    interfaces: tuple[str, ...] = Field(
        default=(), description="interfaces whose queries to answer, e.g. I7; empty: all"
    )
    processes: int = Field(
        default=1,
        ge=0,
        le=64,
        description="responder processes of this machine; also those that `cimstream run` starts "
        "where views.follow is set",
    )
    first_slot: int | None = Field(
        default=None,
        ge=0,
        description="number of the first of them; empty: the lowest that are free on this machine",
    )
    timeout_s: float = Field(
        default=4.0,
        ge=0.1,
        le=600,
        description="s; how long a function may take for one query, 2 s less than "
        "kafka.transaction_timeout_ms at most",
    )
    http_port: int = Field(
        default=9560,
        ge=0,
        le=65_000,
        description="/metrics and /health of process 0, process n has port + n; 0: a free one",
    )


class Rules(Section):
    """Events that make messages; `cimstream run` evaluates them beside its workers."""

    folder: Path | None = Field(
        default=None,
        description="folder of the rules in force, one TOML file each; empty: no rules",
    )
    http_port: int = Field(
        default=9570,
        ge=0,
        le=65_000,
        description="/metrics and /health of the rules of slot 0, + 1 per slot; 0: a free one",
    )
