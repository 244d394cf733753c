"""`cimstream glossary`: what a word means, on every interface.

Lives here: the options and what is printed. Must not live here: the terms (`schemas.glossary`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.inbound import UnknownInterfaceError
from schemas.glossary import INTERFACES, Glossary, Term
from schemas.glossary import glossary as load_glossary
from streams.cli.lines import pipe_may_close, wide_console
from streams.cli.options import Form, OutputForm
from streams.cli.records import to_json
from topics.errors import EXIT_CONFIG, OperatorError

Word = Annotated[
    str | None,
    typer.Argument(
        metavar="TERM", help="A term or a synonym; without one, a list.", show_default=False
    ),
]
Search = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="TEXT",
        help="Only terms with this text in title, synonyms, CIM classes or definition.",
        show_default=False,
    ),
]
SpokenOn = Annotated[
    str | None,
    typer.Option(
        "--interface",
        "-i",
        metavar="I1..I11",
        help="Only terms that are spoken on this interface.",
        show_default=False,
    ),
]


def glossary(
    word: Word = None,
    *,
    search: Search = None,
    interface: SpokenOn = None,
    output: OutputForm = Form.TABLE,
) -> None:
    """Say what a term means, what it is not, and what others call it.

    A synonym leads to its term. One that means more than one shows each, and how they differ.

    Exit status: 0, 2 no such term or interface.

    Example: cimstream glossary "power cut"

    Example: cimstream glossary --interface I6 --search supply -o json
    """
    known = load_glossary()
    spoken = None if interface is None else interface.upper()
    if spoken is not None and spoken not in INTERFACES:
        raise UnknownInterfaceError(spoken, INTERFACES)
    terms = known.terms.values() if word is None else meant(known, word)
    if search is not None:
        found = known.search(search)
        terms = [term for term in found if term in terms]
    shown = [term for term in terms if spoken is None or spoken in term.interfaces]
    if output is Form.JSON:
        with pipe_may_close():
            for term in shown:
                sys.stdout.write(to_json(document(term)) + "\n")
        return
    console = wide_console()
    if not shown:
        console.print("No term of the glossary fits.")
    elif word is not None:
        show(console, shown, known.difference(word))
    else:
        show_list(console, shown)


def meant(known: Glossary, word: str) -> Sequence[Term]:
    """The terms that a word leads to.

    Raises:
        OperatorError: `term_unknown`, with what was perhaps meant.
    """
    if found := known.find(word):
        return found
    near = known.near(word)
    raise OperatorError(
        "term_unknown",
        what=f"the glossary has no term {word!r}",
        fix=f"did you mean {', '.join(near)}?"
        if near
        else f"search the definitions: cimstream glossary --search {word!r}",
        exit_code=EXIT_CONFIG,
    )


def document(term: Term) -> dict[str, object]:
    """A term as JSON."""
    return {
        "slug": term.slug,
        "term": term.title,
        "area": term.area,
        "definition": term.definition,
        "not": term.excludes,
        "cim": list(term.cim),
        "synonyms": {role: list(words) for role, words in term.synonyms.items()},
        "interfaces": list(term.interfaces),
        "type": term.type,
        "unit": term.unit,
        "codes": list(term.codes),
        "see": list(term.see),
        "source": term.source,
    }


def show(console: Console, terms: Iterable[Term], difference: str) -> None:
    """Each term with all that is said about it."""
    if difference:
        console.print(Text(f"This word means more than one term. {difference}\n", style="yellow"))
    for term in terms:
        rows = Table(box=None, show_header=False, pad_edge=False)
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column(overflow="fold")
        for label, text in facts(term):
            rows.add_row(label, Text(text))
        console.print(Text(term.title, style="bold"))
        console.print(rows)
        console.print()


def facts(term: Term) -> list[tuple[str, str]]:
    """What is said about a term, in lines with a label."""
    held = " ".join(filter(None, (term.type, f"in {term.unit}" if term.unit else "")))
    if term.codes:
        held += f": {', '.join(term.codes)}"
    rows = [
        ("is", term.definition),
        ("not", term.excludes),
        ("in the CIM", ", ".join(term.cim) or "no class"),
        *((f"said in {role}", ", ".join(words)) for role, words in term.synonyms.items()),
        ("interfaces", "all" if term.interfaces == INTERFACES else ", ".join(term.interfaces)),
        ("every value is", held),
        ("see", ", ".join(term.see)),
        ("source", term.source),
    ]
    return [(label, text) for label, text in rows if text]


def show_list(console: Console, terms: Iterable[Term]) -> None:
    """One line a term."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("term", "is", "interfaces"):
        table.add_column(name, no_wrap=name == "term")
    for term in terms:
        spoken = "all" if term.interfaces == INTERFACES else ", ".join(term.interfaces)
        table.add_row(Text(term.title), Text(term.definition), spoken)
    console.print(table)
