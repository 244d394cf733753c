"""The stable error codes, and the error that says what is wrong with a message.

Lives here: `ErrorCode` (what a code means and what to do about it, from `errors.toml`),
`Problem` (one code at one place) and `MessageError` (a message that cannot be accepted).
Must not live here: errors of the machinery (configuration, broker, state).

    Exception
    └─ MessageError     the message is at fault: reject it, go on with the next one

Invariant: a code, once released, keeps its meaning for ever; it is a metric label, a
header of `rejected` and what operators search for. Details name elements, codes, sizes
and places, never values of the payload.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, get_args

Level = Literal["INFORM", "WARNING", "FATAL"]


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One kind of fault: what it is, how the standard numbers it, what to do about it.

    `iec_code` is the IEC 61968-100 Reply.Error.code ("1.8"), `level` its Error.level.
    `what` is a clause without full stop, `fix` a sentence for whoever can change something.
    """

    code: str
    iec_code: str
    level: Level
    what: str
    fix: str


def _load(file: Path) -> dict[str, ErrorCode]:
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    codes = {slug: ErrorCode(code=slug, **fields) for slug, fields in tables.items()}
    for slug, entry in codes.items():
        if entry.level not in get_args(Level):
            raise ValueError(f"{file.name}: {slug}: level {entry.level!r} is not one of the levels")
    return codes


CODES: Final[Mapping[str, ErrorCode]] = MappingProxyType(
    _load(Path(__file__).with_name("errors.toml"))
)


# A path consists of the sender's names, which may be as long as a message; it becomes a
# record header and a line of a reply. 64 levels of 15 characters.
XPATH_CHARS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault at one place of one message.

    `detail` says which element, limit or name is meant and carries no payload value;
    `xpath` is a path of local names ("/RequestMessage/Header/Verb"), cut where it is longer
    than `XPATH_CHARS_MAX`; `line` counts from 1.

    Raises:
        ValueError: `code` is not in `CODES` (a mistake of the caller, not of the message).
    """

    code: str
    detail: str = ""
    xpath: str | None = None
    line: int | None = None

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"{self.code!r} is not a code of schemas/errors.toml")
        if self.xpath is not None and len(self.xpath) > XPATH_CHARS_MAX:
            object.__setattr__(self, "xpath", f"{self.xpath[: XPATH_CHARS_MAX - 1]}…")

    @property
    def definition(self) -> ErrorCode:
        """What the code means, from `CODES`."""
        return CODES[self.code]

    def __str__(self) -> str:
        text = f"{self.code}: {self.definition.what}"
        if self.detail:
            text += f" ({self.detail})"
        places = [f"at {self.xpath}"] if self.xpath else []
        if self.line is not None:
            places.append(f"line {self.line}")
        return f"{text} {', '.join(places)}" if places else text


class MessageError(Exception):
    """The message cannot be accepted, for the reasons in `problems`.

    Raised by whatever reads a message. The processor rejects the message with `code` and
    goes on; trying again cannot help, since the same bytes give the same answer.
    """

    def __init__(self, *problems: Problem) -> None:
        if not problems:
            raise ValueError("a MessageError needs at least one problem")
        super().__init__(*problems)
        self.problems: tuple[Problem, ...] = problems

    @classmethod
    def of(
        cls, code: str, detail: str = "", *, xpath: str | None = None, line: int | None = None
    ) -> "MessageError":
        """The error for a single problem."""
        return cls(Problem(code, detail, xpath, line))

    @property
    def code(self) -> str:
        """The first problem's code: the one that decides where the message goes."""
        return self.problems[0].code

    def __str__(self) -> str:
        return "; ".join(str(problem) for problem in self.problems)


def raise_if_any(problems: Iterable[Problem]) -> None:
    """Raise one MessageError with all of `problems`, or return when there are none."""
    found = tuple(problems)
    if found:
        raise MessageError(*found)
