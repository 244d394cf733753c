"""Settings of the cluster: how it is reached, and who is who there.

Lives here: their bounds, and what may not be set or may not be written down. Must not live here:
anything that acts on them; the other sections (`settings`).

Invariant: no secret is the value of a setting; settings name the files that hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, field_validator

from streams.engine.kafka import KafkaSettings, LockedSettingError
from streams.engine.kafka.settings import SECRET
from streams.runtime.sections import Section
from topics.acls import Role

BOOTSTRAP_VARIABLE: Final = "CIMSTREAM_BOOTSTRAP"

# A role of everybody would be none.
Principal = Annotated[str, Field(pattern=r"^[A-Za-z]+:[^*].*$")]


class Kafka(Section):
    """How the cluster is reached."""

    bootstrap_servers: str = Field(
        default="", description=f"host:port list; empty: {BOOTSTRAP_VARIABLE} or the local broker"
    )
    transaction_timeout_ms: int = Field(
        default=10_000,
        ge=5_000,
        le=60_000,
        description="ms; how long an open transaction that nobody ends holds readers back",
    )
    long_transaction_timeout_ms: int = Field(
        default=60_000,
        ge=30_000,
        le=900_000,
        description="ms; the same for the transaction of a large network model, which may have "
        "4,000 objects per second of it, at most 250,000; not above the broker's "
        "transaction.max.timeout.ms",
    )
    session_timeout_ms: int | None = Field(
        default=None,
        ge=1_000,
        le=300_000,
        description="ms; silence after which a slot's partitions go to others; not below the "
        "broker's group.min.session.timeout.ms; empty: exactly that, but at least 2000 "
        "(6000 where the broker does not say)",
    )
    request_timeout_s: float = Field(
        default=10.0, ge=1, le=120, description="s; bound on each transactional request"
    )
    properties: Mapping[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="librdkafka properties for security (sasl.*, ssl.*, security.protocol), those "
        "that are secrets excepted",
    )
    secret_files: Mapping[str, Path] = Field(
        default_factory=dict,
        description="secret properties, e.g. sasl.password, to the file that holds each; only its "
        "owner, or a group, may read it",
    )

    @field_validator("properties")
    @classmethod
    def _neither_locked_nor_secret(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            KafkaSettings("", extra=value)
        except LockedSettingError as error:
            raise ValueError(str(error)) from error
        if secret := sorted(SECRET & value.keys()):
            raise ValueError(f"{', '.join(secret)} is a secret: name its file in secret_files")
        return value

    @field_validator("secret_files")
    @classmethod
    def _secret(cls, value: Mapping[str, Path]) -> Mapping[str, Path]:
        if other := sorted(value.keys() - SECRET):
            raise ValueError(f"{', '.join(other)} is no secret: it belongs into properties")
        return value


class Acls(Section):
    """Who is who on the cluster: `cimstream topics plan|apply --acls`."""

    principals: Mapping[Role, tuple[Principal, ...]] = Field(
        default_factory=dict,
        description="role (gateway, connector, processor, responder, view, operator) to its "
        'principals, e.g. ["User:cim-gateway"]',
    )
    readers: Mapping[Principal, tuple[str, ...]] = Field(
        default_factory=dict,
        description="principal of an analytics team to the interfaces whose logs it may read",
    )
