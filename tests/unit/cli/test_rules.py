"""`cimstream rules`: what it lists, what it finds wrong, what it would do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.cli import execute
from tests.unit.rules.driver import outage, shipped
from tests.unit.rules.test_rules import PLAIN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "rules"
    found.mkdir()
    (found / "plain.toml").write_text(PLAIN)
    (tmp_path / "outage.xml").write_bytes(outage("1"))
    return found


def run(*arguments: str | Path) -> int:
    return execute(["rules", *map(str, arguments)])


def test_list_tells_the_rules_of_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--folder", folder, "-o", "json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "rule": "plain", "version": 1, "since": "1970-01-01T00:00:00Z",
        "description": "every outage", "noun": "Outages", "verbs": ["change", "create"],
        "interfaces": [], "action": "create WorkOrders on I4",
    }  # fmt: skip
    assert run("list", "--shipped") == 0
    assert "last-gasp-cluster" in capsys.readouterr().out


def test_show_gives_a_shipped_rule_that_is_in_force_from_now_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", "outage-work-order") == 0
    text = capsys.readouterr().out
    assert 'since = "20' in text
    (folder / "outage-work-order.toml").write_text(text)
    assert run("check", "--folder", folder) == 0
    assert capsys.readouterr().out == "2 rules, nothing wrong\n"
    assert run("show", "nothing") == 2
    assert "outage-work-order" in capsys.readouterr().err


def test_check_tells_what_is_wrong_in_each_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.toml").write_text(PLAIN.replace("version = 1", "version = 0"))
    (folder / "worse.toml").write_text("[")
    assert run("check", "--folder", folder) == 2
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("bad.toml, version: 0 is not between")
    assert second.startswith("worse.toml: it cannot be read")


def test_without_a_folder_nothing_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check") == 2
    assert "rules.folder" in capsys.readouterr().err


def test_a_message_is_tried_and_what_would_be_sent_is_shown_masked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--folder", folder, "--message", tmp_path / "outage.xml", "-i", "I1")
    assert run("test", *options, "--payload") == 0
    shown = capsys.readouterr().out
    assert "cim.i1.outages/0@0  plain  fired" in shown
    assert "WorkOrder" in shown
    assert "1 fired" in shown
    assert run("test", *options, "--payload", "--unmask", "-o", "json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["outcome"] == "fired"
    (identity,) = [part for part in whole["message"].split("mRID>") if part.count("-") == 4]
    assert f"<mRID>{identity}" not in shown
    assert f"<mRID>{identity}" in whole["message"]


def test_a_message_that_intake_would_refuse_ends_with_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plain.toml").write_text(PLAIN.replace("repair", "nonsense"))
    options = ("--folder", folder, "--message", tmp_path / "outage.xml", "-i", "I1")
    assert run("test", *options) == 1
    assert "would be refused: profile_violation" in capsys.readouterr().out


def test_an_expression_that_fails_ends_with_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plain.toml").write_text(
        PLAIN.replace("[action]", "when = 'event.metersAffected > 5'\n[action]")
    )
    options = ("--folder", folder, "--message", tmp_path / "outage.xml", "-i", "I1")
    assert run("test", *options) == 1
    assert "plain  failed: rule plain@1: UNKNOWN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--message", "outage.xml"), "--interface"),
        (("--message", "nowhere.xml", "-i", "I1"), "cannot be read"),
        (("--message", "outage.xml", "-i", "I9"), "would be refused"),
        (("--rule", "other"), "name some of plain"),
    ],
)
def test_what_cannot_be_tried_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run("test", "--folder", folder, *options) in (1, 2)
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_rule_that_is_about_nothing_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "gasps.toml").write_text(shipped("last-gasp-cluster"))
    options = ("--folder", folder, "--message", tmp_path / "outage.xml", "-i", "I1")
    assert run("test", "--rule", "gasps", *options) == 0
    assert capsys.readouterr().out == "no event that these rules are about\n"
