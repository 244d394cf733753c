"""What an operator can set: one model, one file, one precedence.

    command line > environment (CIMSTREAM__SECTION__KEY) > cimstream.toml > default

Lives here: the settings and their bounds. Must not live here: anything that acts on them.
The layers below get frozen dataclasses, never this object. What exactly-once rests on is
not a setting: naming it is refused (`streams.engine.kafka.settings.LOCKED`).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from streams.engine.worker import Limits
from streams.runtime.cluster import Acls, Kafka
from streams.runtime.delivery.config import Delivery
from streams.runtime.sections import Respond, Rules, Section
from topics.errors import EXIT_CONFIG, OperatorError

FILE: Final = Path("cimstream.toml")
_PREFIX: Final = "CIMSTREAM__"
_TABLES: Final = ("kafka.properties.", "kafka.secret_files.", "sources.", "acls.")

Positive = Annotated[int, Field(gt=0)]


class Worker(Section):
    """What a worker takes on and how much at once."""

    interfaces: tuple[str, ...] = Field(
        default=(), description="interfaces to process, e.g. I7; empty: all of the catalogue"
    )
    workers: int = Field(default=1, ge=1, le=64, description="worker processes of this machine")
    first_slot: int | None = Field(
        default=None,
        ge=0,
        description="number of the first slot; empty: the lowest that are free on this machine",
    )
    state_folder: Path = Field(
        default=Path("state"), description="folder of the local databases, one per slot"
    )
    poll_timeout_ms: int = Field(
        default=100, ge=1, le=5_000, description="ms; longest wait for a first record"
    )
    commit_interval_ms: int = Field(
        default=100,
        ge=1,
        le=4_000,
        description="ms; longest life of a transaction while input keeps coming",
    )
    batch_records_max: Positive = Field(default=1_000, description="records taken in one turn")
    batch_bytes_max: Positive = Field(
        default=8 * 1024 * 1024, description="bytes taken in one turn"
    )

    def limits(self) -> Limits:
        """What the engine needs of it."""
        return Limits(
            poll_timeout_s=self.poll_timeout_ms / 1000,
            commit_interval_s=self.commit_interval_ms / 1000,
            batch_records_max=self.batch_records_max,
            batch_bytes_max=self.batch_bytes_max,
        )


class Http(Section):
    """The door for probes and Prometheus."""

    host: str = Field(
        default="127.0.0.1",
        description="address to bind, also by the gateway and the view; off loopback TLS is needed",
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM, the chain included; with key_file probes come over TLS"
    )
    key_file: Path | None = Field(default=None, description="PEM, the key of the certificate")
    unencrypted: bool = Field(
        default=False, description="off loopback without TLS: for a network of probes only"
    )
    port: int = Field(
        default=9464,
        ge=0,
        le=65_000,
        description="port of slot 0, slot n has port + n; 0: a free one, named in the log",
    )


class Gateway(Section):
    """The HTTP door for systems: `cimstream gateway`."""

    host: str = Field(
        default="127.0.0.1",
        description="address to bind; off loopback an access file is needed, and TLS",
    )
    port: int = Field(default=8080, ge=0, le=65_535, description="port; 0: a free one")
    processes: int = Field(default=1, ge=1, le=64, description="processes that share the port")
    access_file: Path | None = Field(
        default=None,
        description="who may send what and is known by what; read again when it changes; empty: "
        "anybody, on loopback only",
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM, the chain included; with key_file the door speaks TLS"
    )
    key_file: Path | None = Field(default=None, description="PEM, the key of the certificate")
    client_ca_file: Path | None = Field(
        default=None,
        description="PEM; certificates of clients that these authorities have signed say who it is",
    )
    client_certificates: Literal["optional", "required"] = Field(
        default="optional",
        description="required: with client_ca_file, nobody connects without a certificate",
    )
    tls_elsewhere: bool = Field(
        default=False,
        description="off loopback without TLS, because a proxy before the gateway has it",
    )
    wait_s: float = Field(
        default=10.0, ge=0, le=300, description="s; wait for a reply unless Prefer: wait says so"
    )
    wait_max_s: float = Field(
        default=60.0, ge=0, le=300, description="s; longest wait that Prefer can ask for"
    )
    send_timeout_s: float = Field(
        default=5.0, ge=1, le=60, description="s; a message not confirmed by then is answered 503"
    )
    query_timeout_s: float = Field(
        default=10.0,
        ge=0.1,
        le=300,
        description="s; a question to the view (views.database) that takes longer is answered 503",
    )
    head_timeout_s: float = Field(
        default=10.0, ge=0.1, le=120, description="s; for the head of a request to arrive"
    )
    body_timeout_s: float = Field(
        default=30.0, ge=0.1, le=600, description="s; for the body of a request to arrive"
    )
    unread_timeout_s: float = Field(
        default=30.0,
        ge=1,
        le=600,
        description="s; a client that reads nothing of what waits for it is cut off by then",
    )
    requests_max: Positive = Field(
        default=2_000, description="open requests per process; one more is answered 503"
    )
    subscriptions_max: Positive = Field(
        default=1_000, description="open subscriptions per process; one more is answered 503"
    )
    subscriptions_per_source: Positive = Field(
        default=100, description="of one source, per process; one more is answered 429"
    )
    heartbeat_s: float = Field(
        default=15.0,
        ge=1,
        le=300,
        description="s; a subscriber to whom nothing happened hears that, and where it stands",
    )
    health_port: int = Field(
        default=9480,
        ge=0,
        le=65_000,
        description="/metrics and /health of process 0, process n has port + n; 0: a free one",
    )


class Soap(Section):
    """The SOAP half of the gateway, which has its address, TLS, waits and limits."""

    window_s: float = Field(
        default=300.0, ge=1, le=3600, description="s; how far times of WS-Security may be from ours"
    )
    nonce_file: Path = Field(
        default=Path("state/nonces.sqlite"),
        description="file of the nonces that were used, shared by the processes of this machine",
    )
    public_url: str = Field(
        default="",
        description="how systems reach the door, for the addresses in WSDLs; empty: as they asked",
    )


class Logging(Section):
    """Log lines on stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="lowest level that is written"
    )
    format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: text on a terminal, JSON lines elsewhere"
    )


class Broker(Section):
    """The local Kafka of `cimstream broker up`, for development."""

    data_folder: Path = Field(
        default=Path(".cimstream/broker"), description="folder of its data; removed by `down`"
    )
    port: int = Field(default=19092, ge=0, le=65_535, description="port on loopback; 0: a free one")
    heap_mb: int = Field(default=1024, ge=256, description="MB of memory for its Java heap")


class Views(Section):
    """The materialised view: a database that follows the logs and answers queries."""

    database: str = Field(
        default="state/view.sqlite",
        description="file of a SQLite database, or postgresql://user@host/name without a password "
        "(that goes into the file of PGPASSFILE)",
    )
    follow: bool = Field(
        default=False, description="whether `cimstream run` keeps the view up, beside its workers"
    )
    window_days: int = Field(
        default=35,
        ge=1,
        le=3_650,
        description="days that histories are kept for, by the log's append time; registers are "
        "kept whole",
    )
    nouns: tuple[str, ...] = Field(
        default=(), description="nouns to keep, e.g. MeterReadings; empty: every noun with a log"
    )
    fresh_s: int = Field(
        default=15,
        ge=5,
        le=86_400,
        description="s; an answer says that the view is behind where the end of a log was not "
        "reached within this time",
    )
    http_port: int = Field(
        default=9540,
        ge=0,
        le=65_535,
        description="port of the follower's /metrics and /health; 0: a free one, named in the log",
    )


class Source(BaseModel):
    """One source; its other keys are those of its connector (see connectors/<type>/README.md)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(description="connector, e.g. files")


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    kafka: Kafka = Kafka()
    worker: Worker = Worker()
    http: Http = Http()
    gateway: Gateway = Gateway()
    soap: Soap = Soap()
    acls: Acls = Acls()
    logging: Logging = Logging()
    broker: Broker = Broker()
    views: Views = Views()
    respond: Respond = Respond()
    rules: Rules = Rules()
    delivery: Delivery = Delivery()
    sources: Mapping[str, Source] = Field(
        default_factory=dict,
        description="name to source; the name is what its position is kept under",
    )
    catalogue: Path | None = Field(
        default=None, description="folder of a catalogue other than the one that is shipped"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line (as init values), environment, file; the first that has a key wins."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def load_settings(file: Path | None = None, **overrides: Mapping[str, object]) -> Settings:
    """Read the settings.

    Args:
        file: TOML file; None takes `cimstream.toml` of the working folder if there is one.
        overrides: Section to values from the command line; a None was not given.

    Raises:
        OperatorError: `config_missing`, or `config_invalid` naming the file or variable, the
            key, what was expected and, for an unknown key, the nearest one that exists.
    """
    if file is not None and not file.exists():
        raise OperatorError(
            "config_missing",
            what=f"there is no settings file {file}",
            fix="name an existing file, or leave the option out",
            exit_code=EXIT_CONFIG,
        )
    path = file or FILE
    _check_environment()

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    given = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in overrides.items()
    }
    try:
        return FromFile(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _invalid(error, str(path) if path.exists() else "the environment") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError(
            "config_invalid",
            what=f"the settings file is not TOML: {error}",
            where=str(path),
            fix="correct the file",
            exit_code=EXIT_CONFIG,
        ) from error


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield f"{prefix}{name}"
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _check_environment() -> None:
    """Refuse a variable that names no setting; the library would pass over it in silence."""
    known = set(_keys(Settings))
    for variable in os.environ:
        if not variable.upper().startswith(_PREFIX):
            continue
        key = variable[len(_PREFIX) :].lower().replace("__", ".")
        if key not in known and not key.startswith(_TABLES):
            raise _unknown(key, variable)


def _unknown(key: str, where: str) -> OperatorError:
    near = difflib.get_close_matches(key, list(_keys(Settings)), n=1)
    hint = f"did you mean {near[0]}?" if near else "see docs/operating.md for all settings"
    return OperatorError(
        "config_invalid",
        what=f"{key} is not a setting",
        where=where,
        fix=hint,
        exit_code=EXIT_CONFIG,
    )


def _invalid(error: ValidationError, origin: str) -> OperatorError:
    first = error.errors(include_input=False, include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown(key, origin)
    return OperatorError(
        "config_invalid",
        what=f"{key}: {first['msg']}",
        where=origin,
        fix=f"correct {key}",
        exit_code=EXIT_CONFIG,
    )
