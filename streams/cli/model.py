"""`cimstream model check`: network models (CIM RDF/XML) against what the CIM allows.

Lives here: options, reading files, and what is printed. Must not live here: reading RDF/XML and
the checks (`schemas.rdf`).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from schemas import rdf
from schemas.errors import CODES, MessageError
from schemas.rdf.checks import ModelCheck
from schemas.rdf.findings import Finding, Notice, Report
from streams.cli.bar import Bar
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Form, OutputForm
from streams.cli.records import to_json
from topics.errors import EXIT_CONFIG, EXIT_FAILED, OperatorError

app = typer.Typer(
    name="model", help="Network models: CIM RDF/XML of IEC 61970-552.", no_args_is_help=True
)

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Full or difference models; several are one model."),
]

_PIECE_BYTES: Final = 64 * 1024
# Enough to see what is meant; -o json has more.
_SHOWN_OF_EACH: Final = 10
_NOTICES: Final = {
    Notice.EXTERNAL: "an object that lives in another model",
    Notice.EXTENSION: "a name that is not of the CIM itself: kept, not checked",
    Notice.LACKING: "something that the CIM demands, and no profile of the document does",
    Notice.IRREGULAR: "written as the CIM does not have it: kept as it is",
}


@app.callback()
def model() -> None:
    """Network models: CIM RDF/XML of IEC 61970-552."""


@app.command("check")
def check(files: Files, output: OutputForm = Form.TABLE) -> None:
    """Check network models: classes, attributes, values, identities, references.

    Files that belong together, such as EQ and SSH of CGMES, are checked as one model. A reference
    to an object that is in none of them is a fault, unless its document depends on a model that
    is not among them. Nothing is sent anywhere.

    Exit status: 0 no fault, 1 faults, 2 a file cannot be read.

    Example: cimstream model check examples/i2/feeder-eq.xml examples/i2/feeder-ssh.xml
    """
    checking = ModelCheck()
    refused: list[Finding] = []
    bar = Bar()
    with bar.shown():
        for file in files:
            found = _read(file, checking, bar)
            if found is not None:
                refused.append(found)
    report = checking.report()
    with pipe_may_close():
        if output is Form.JSON:
            sys.stdout.write(to_json(document(files, report, refused)) + "\n")
        else:
            show(wide_console(), report, refused)
    if report.faults or refused:
        raise typer.Exit(EXIT_FAILED)


def _read(file: Path, checking: ModelCheck, bar: Bar) -> Finding | None:
    """Check one file; give the fault with which it cannot be read further."""
    try:
        content = rdf.read(_pieces(file, bar))
        checking.document(str(file), content.header)
        for item in content:
            checking.object(item)
    except MessageError as error:
        problem = error.problems[0]
        return Finding(problem.code, "", "", problem.line, str(file), problem.detail)
    except OSError as error:
        raise OperatorError(
            "file_unreadable",
            what=f"{file} cannot be read",
            why=error.strerror or type(error).__name__,
            fix="name files that exist and that you may read",
            exit_code=EXIT_CONFIG,
        ) from error
    return None


def _pieces(file: Path, bar: Bar) -> Iterator[bytes]:
    total = max(1, file.stat().st_size // _PIECE_BYTES)
    with file.open("rb") as opened:
        done = 0
        while piece := opened.read(_PIECE_BYTES):
            bar(file.name, done, total)
            done += 1
            yield piece


def document(
    files: Sequence[Path], report: Report, refused: Sequence[Finding]
) -> dict[str, object]:
    """The result as JSON; `findings` are the first of each code, `totals` count all."""
    totals = dict(report.totals)
    for found in refused:
        totals[found.code] = totals.get(found.code, 0) + 1
    return {
        "files": [str(file) for file in files],
        "objects": report.objects,
        "classes": dict(sorted(report.classes.items())),
        "faults": report.faults + len(refused),
        "totals": {str(code): count for code, count in sorted(totals.items())},
        "findings": [
            {
                "code": str(found.code),
                "file": found.document,
                "line": found.line,
                "class": found.cls,
                "mRID": found.mrid,
                "detail": found.detail,
            }
            for found in (*refused, *report.findings)
        ],
    }


def show(console: Console, report: Report, refused: Sequence[Finding]) -> None:
    """Tables for people, then a line for each fault, as compilers write them."""
    for table in (_classes(report), _totals(report)):
        if table.row_count:
            console.print(table)
    for line in _lines([*refused, *report.findings]):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    faults = report.faults + len(refused)
    console.print(f"{report.objects} objects, {faults} faults", highlight=False)


def _classes(report: Report) -> Table:
    table = _table("Objects")
    table.add_column("class")
    table.add_column("objects", justify="right")
    for name, count in sorted(report.classes.items()):
        table.add_row(name or "(not said)", str(count))
    return table


def _totals(report: Report) -> Table:
    table = _table("Found")
    table.add_column("code")
    table.add_column("count", justify="right")
    table.add_column("what")
    for code, count in sorted(report.totals.items()):
        what = _NOTICES[code] if isinstance(code, Notice) else CODES[code].what
        table.add_row(code, str(count), what)
    return table


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    shown: Counter[str] = Counter()
    for one in found:
        shown[one.code] += 1
        if not one.is_notice and shown[one.code] <= _SHOWN_OF_EACH:
            where = one.document if one.line is None else f"{one.document}:{one.line}"
            who = f"{one.cls} {one.mrid}: " if one.mrid else ""
            yield f"{where}: {one.code}: {who}{one.detail}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, header_style="bold")
