"""`cimstream topics plan|apply|asyncapi`: the catalogue's topics, on a cluster and described.

Lives here: options and what is printed of topics. Must not live here: comparing and changing
(`topics.provision`, `topics.authorizing`), what the description says (`topics.asyncapi`).
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from streams.cli import acls
from streams.cli.errors import EXIT_PENDING
from streams.cli.options import Bootstrap, ConfigFile, target
from streams.runtime.settings import load_settings
from topics import Catalogue, asyncapi, authorizing, load_catalogue, provision
from topics.errors import EXIT_FAILED, OperatorError

app = typer.Typer(
    name="topics",
    help="Topics of the catalogue: on the cluster, and as a document.",
    no_args_is_help=True,
)

CatalogueFolder = Annotated[
    Path | None, typer.Option("--catalogue", help="Folder of another catalogue.")
]
Replicas = Annotated[
    int | None,
    typer.Option(help="Copies of topics to create; default: 3, or one per broker.", min=1),
]
ShowAll = Annotated[bool, typer.Option("--all", help="Show unchanged topics too.")]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write it there; default: to standard output."
    ),
]

WithAcls = Annotated[
    bool, typer.Option("--acls", help="Who may do what on the cluster too (settings: acls).")
]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="With --acls: remove entries about cim.* that are not ours."),
]

_STYLES = {"create": "green", "alter": "yellow", "conflict": "bold red", "unchanged": "dim"}


@app.command("plan")
def plan(
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
    catalogue: CatalogueFolder = None,
    replicas: Replicas = None,
    show_all: ShowAll = False,
    with_acls: WithAcls = False,
) -> None:
    """Say what `apply` would do, and do nothing.

    Exit code 0: nothing to do; 3: changes are pending; 1: a topic differs in what is never
    changed.

    Example: cimstream topics plan
    """
    wanted, admin, todo = _plan(bootstrap, config, catalogue, replicas)
    _show(todo, show_all=show_all)
    allowing = _plan_acls(admin, wanted, config) if with_acls else None
    if allowing:
        acls.show(allowing, show_all=show_all)
    if todo.of("conflict"):
        raise typer.Exit(EXIT_FAILED)
    if todo.pending or (allowing and allowing.missing):
        raise typer.Exit(EXIT_PENDING)


@app.command("apply")
def apply(
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
    catalogue: CatalogueFolder = None,
    replicas: Replicas = None,
    show_all: ShowAll = False,
    with_acls: WithAcls = False,
    prune: Prune = False,
) -> None:
    """Create topics and alter their settings so that the cluster matches the catalogue.

    Never deletes a topic and never changes a partition count: both lose data or identity.
    Where a count differs nothing at all is done. With --acls it also allows the principals of
    the settings what their parts need, and removes nothing unless --prune is given.

    Example: cimstream topics apply
    """
    wanted, admin, todo = _plan(bootstrap, config, catalogue, replicas)
    _show(todo, show_all=show_all)
    allowing = _plan_acls(admin, wanted, config) if with_acls else None
    provision.apply(admin, todo)
    done = len(todo.of("create")) + len(todo.of("alter"))
    Console().print(f"applied: {done} topic(s)" if done else "nothing to do")
    if allowing:
        acls.show(allowing, show_all=show_all)
        changed = authorizing.apply_acls(admin, allowing, prune=prune)
        Console().print(f"applied: {changed} access control entries" if changed else "no changes")


@app.command("asyncapi")
def describe(
    config: ConfigFile = None,
    catalogue: CatalogueFolder = None,
    output: OutputFile = None,
) -> None:
    """Print the AsyncAPI 3 document of the topics, in JSON: channels, messages, operations.

    Asks no cluster: it says what the catalogue and the schemas say.

    Example: cimstream topics asyncapi -o asyncapi.json
    """
    wanted = load_catalogue(catalogue or load_settings(config).catalogue)
    text = asyncapi.render(asyncapi.document(wanted, version("cimstream")))
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            "file_not_written",
            what="the document cannot be written",
            where=str(output),
            why=error.strerror or type(error).__name__,
            fix="name a file in a folder that exists and may be written to",
        ) from error


def _plan(
    bootstrap: str | None, config: Path | None, catalogue: Path | None, replicas: int | None
) -> tuple[Catalogue, provision.Admin, provision.Plan]:
    meant = target(bootstrap, config)
    wanted = meant.catalogue if catalogue is None else load_catalogue(catalogue)
    admin = provision.connect(meant.kafka.bootstrap_servers, meant.kafka.extra)
    return wanted, admin, provision.plan(admin, wanted, replicas=replicas)


def _plan_acls(
    admin: provision.Admin, catalogue: Catalogue, config: Path | None
) -> authorizing.AclPlan:
    wanted = acls.wanted_bindings(load_settings(config).acls, catalogue)
    return authorizing.plan_acls(admin, wanted)


def _show(todo: provision.Plan, *, show_all: bool) -> None:
    console = Console()
    table = Table("topic", "action", "partitions", "what", box=None, header_style="bold")
    for row in todo.rows:
        if show_all or row.action != "unchanged":
            table.add_row(
                row.topic.name,
                f"[{_STYLES[row.action]}]{row.action}[/]",
                str(row.topic.partitions),
                _what(row),
            )
    if table.row_count:
        console.print(table)
    counts = [f"{len(todo.of(action))} {label}" for action, label in _LABELS]
    partitions = sum(row.topic.partitions for row in todo.rows)
    console.print(
        f"{len(todo.rows)} topics, {partitions} partitions: {', '.join(counts)}", soft_wrap=True
    )


_LABELS: tuple[tuple[provision.Action, str], ...] = (
    ("create", "to create"),
    ("alter", "to alter"),
    ("unchanged", "unchanged"),
    ("conflict", "in conflict"),
)


def _what(row: provision.Row) -> str:
    if row.reason:
        return row.reason
    if row.action == "create":
        return f"{row.topic.config['cleanup.policy']}, {row.replicas} replica(s)"
    return "; ".join(f"{key} {found or '(none)'} -> {wanted}" for key, found, wanted in row.changes)
