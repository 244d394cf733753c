"""The systems that messages are delivered to, and how: the destinations file.

Lives here: the file, its bounds, and reading the credentials it points to. Must not live here:
the protocols (`connectors/<system>/client.py`), when something is delivered
(`streams.runtime.delivery`).

Invariant: the file holds no secret, only names of files that do; no error here shows one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from topics import Catalogue, naming
from topics.errors import EXIT_CONFIG, OperatorError

_HOUR_MS: Final = 3_600_000

Seconds = Annotated[float, Field(gt=0)]


class DestinationsFileError(OperatorError):
    """The destinations file cannot be used; nothing is delivered by one that is half understood."""

    def __init__(self, file: Path, why: str, fix: str) -> None:
        super().__init__(
            "destinations_file_invalid",
            what="the file of destinations cannot be used",
            where=str(file),
            why=why,
            fix=fix,
            exit_code=EXIT_CONFIG,
        )


class Destination(BaseModel):
    """One system. The table's name is what messages call it in their Property `Destination`.

    The credential goes into `credential_header`; in SOAP, with `username` into a UsernameToken.

    `receipt` says what counts as its receipt: the `status` 2xx, a ResponseMessage in the
    `response`, or a `reply` that comes by itself later. Of `pull`, the acknowledgement counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["rest", "soap", "pull"]
    url: str = ""
    receipt: Literal["status", "response", "reply"] = "status"
    soap_version: Literal["1.1", "1.2"] = "1.1"
    username: str = ""
    credential_header: str = "Authorization"
    credential_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 10
    in_flight_max: Annotated[int, Field(ge=1, le=256)] = 4
    retry_first_s: Seconds = 1
    retry_max_s: Seconds = 300
    attempts_max: Annotated[int, Field(ge=0)] = 0
    expiry_h: Annotated[float, Field(gt=0, le=24 * 30)] = 24 * 7
    pending_max: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    visibility_s: Annotated[float, Field(ge=1, le=3_600)] = 60
    idempotent: bool = False
    contexts: tuple[str, ...] = (naming.PRODUCTION,)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        called = self.kind != "pull"
        if called and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"{self.kind} needs an url that begins with http:// or https://")
        if not called and self.model_fields_set & {"url", "receipt", "credential_file", "ca_file"}:
            raise ValueError("who pulls is not called: url, receipt and credentials mean nothing")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.retry_max_s < self.retry_first_s:
            raise ValueError("retry_max_s is below retry_first_s")
        return self

    @property
    def expiry_ms(self) -> int:
        """How long a message is tried where nothing else says so."""
        return int(self.expiry_h * _HOUR_MS)

    def backoff_s(self, failures: int) -> float:
        """How long to wait behind so many failures in a row (from 1): twice as long each time."""
        return min(self.retry_max_s, self.retry_first_s * 2.0 ** min(failures - 1, 32))

    def credential(self) -> str:
        """What goes into `credential_header`; "" where there is none.

        Raises:
            OSError: the file cannot be read.
        """
        if self.credential_file is None:
            return ""
        return self.credential_file.read_text(encoding="utf-8").strip()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    destinations: Mapping[str, Destination] = Field(default_factory=dict)


def load_destinations(file: Path, catalogue: Catalogue) -> Mapping[str, Destination]:
    """Read the file: name to destination.

    Raises:
        DestinationsFileError: it cannot be read, has a mistake, names a context that the
            catalogue does not have, or a file that is not there.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise DestinationsFileError(file, why, "name an existing file") from error
    try:
        found = _File.model_validate(tomllib.loads(text)).destinations
    except tomllib.TOMLDecodeError as error:
        raise DestinationsFileError(file, f"it is not TOML: {error}", "correct the file") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DestinationsFileError(file, f"{key}: {first['msg']}", f"correct {key}") from error
    for name, destination in found.items():
        _check(file, name, destination, catalogue)
    return found


def _check(file: Path, name: str, destination: Destination, catalogue: Catalogue) -> None:
    unknown = set(destination.contexts) - {naming.PRODUCTION, *catalogue.contexts}
    if unknown:
        why = f"destinations.{name}.contexts: the catalogue has no {', '.join(sorted(unknown))}"
        raise DestinationsFileError(file, why, "correct the spelling")
    pointed = (destination.credential_file, destination.ca_file, destination.certificate_file)
    for one in filter(None, (*pointed, destination.key_file)):
        if not one.is_file():
            why = f"destinations.{name}: there is no file {one}"
            raise DestinationsFileError(file, why, "name existing files")
