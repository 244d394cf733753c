"""`cimstream glossary` says what a word means, and helps where it is none."""

from __future__ import annotations

import json

import pytest

from streams import cli
from tests.commands import examples


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.execute(["glossary", *arguments])
    printed = capsys.readouterr()
    return code, " ".join(printed.out.split()), printed.err


def documents(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    assert cli.execute(["glossary", *arguments, "-o", "json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_examples_of_the_help_run(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in examples(("glossary",)):
        assert cli.execute(arguments) == 0
        assert capsys.readouterr().out


def test_a_term_is_shown_with_what_it_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "outage")
    assert code == 0
    assert "Part of the network is out of use" in out
    assert "Not an interruption" in out
    assert "I1, I3, I4, I6" in out


def test_a_word_for_two_terms_shows_both_and_how_they_differ(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(capsys, "power cut")
    assert "means more than one term" in out
    assert "outage is Part of the network" in out
    assert "interruption is One or more customers" in out


def test_json_is_one_document_a_term(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = documents(capsys, "metering point")
    assert found["slug"] == "service-point"
    assert found["cim"] == ["UsagePoint"]
    assert "metering point" in found["synonyms"]["metering"]


def test_an_interface_and_a_text_narrow_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    everything = documents(capsys)
    on_i11 = documents(capsys, "--interface", "i11")
    both = documents(capsys, "-i", "I11", "--search", "index")
    assert len(everything) > len(on_i11) > len(both) > 0
    assert all("I11" in term["interfaces"] for term in on_i11)
    assert {"reliability-index"} <= {term["slug"] for term in both}


def test_what_fits_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--search", "no such text") == (0, "No term of the glossary fits.", "")


@pytest.mark.parametrize(
    ("arguments", "code", "fix"),
    [
        (["outag"], "term_unknown", "did you mean outage"),
        (["qqqqq"], "term_unknown", "cimstream glossary --search 'qqqqq'"),
        (["--interface", "I12"], "interface_unknown", "name one of I1"),
    ],
)
def test_an_unknown_word_or_interface_gets_a_way_out(
    arguments: list[str], code: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert f"code: {code}" in err
    assert fix in err
