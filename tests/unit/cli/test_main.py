"""What the process ends with, and that every error is one message."""

from __future__ import annotations

import pytest

from streams import cli
from streams.cli.errors import DEBUG_VARIABLE
from tests.commands import COMMANDS, examples
from topics.errors import OperatorError


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_has_an_example_that_its_options_allow(
    words: tuple[str, ...],
) -> None:
    found = examples(words)
    assert found, "the help has no line that begins with `Example: cimstream`"
    for arguments in found:
        assert tuple(arguments[: len(words)]) == words
        rest = arguments[len(words) :]
        COMMANDS[words].make_context(words[-1], rest)  # type: ignore[attr-defined]


def test_help_ends_well_and_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Exit codes: 0 done; 1 failed" in printed
    assert "69 no Kafka broker" in printed


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["broker", "up", "--prot", "1"], ["broker", "up", "--port", "x"]]
)
def test_wrong_usage_is_one_message_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "--help" in printed.err


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def app(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)
    return cli.execute([])


def test_an_operators_error_says_what_where_why_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OperatorError("slug", what="It broke", where="there", why="so", fix="mend", exit_code=9)
    assert raising(error, monkeypatch) == 9
    assert capsys.readouterr().err.splitlines() == [
        "error: It broke", "  at:   there", "  why:  so", "  fix:  mend", "  code: slug",
    ]  # fmt: skip


def test_text_in_square_brackets_is_not_taken_for_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(OperatorError("slug", what="pattern[3] [red] [/]"), monkeypatch)
    assert "error: pattern[3] [red] [/]" in capsys.readouterr().err


def test_a_fault_shows_class_and_place_but_not_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)
    assert raising(ValueError("meter 4711 read 12.5"), monkeypatch) == 70
    printed = capsys.readouterr().err
    assert "ValueError" in printed
    assert "test_main.py, line" in printed
    assert "4711" not in printed
    assert "Traceback" not in printed


def test_an_interrupt_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert raising(KeyboardInterrupt(), monkeypatch) == 130
