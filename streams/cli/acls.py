"""What `cimstream topics plan|apply --acls` adds: who may do what on the cluster.

Lives here: from settings to bindings, and what is printed. Must not live here: options
(`topics`), comparing and changing (`topics.authorizing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from streams.runtime.cluster import Acls
from topics import Catalogue
from topics.acls import Binding, bindings
from topics.authorizing import AclPlan
from topics.errors import EXIT_CONFIG, OperatorError


def wanted_bindings(acls: Acls, catalogue: Catalogue) -> frozenset[Binding]:
    """What the settings and the catalogue ask for.

    Raises:
        OperatorError: `principals_missing`, `interface_unknown`.
    """
    if not acls.principals and not acls.readers:
        raise OperatorError(
            "principals_missing",
            what="nothing says which principals of the cluster are which part of cimstream",
            fix="name them under [acls.principals], see docs/security.md",
            exit_code=EXIT_CONFIG,
        )
    named = {interface for readers in acls.readers.values() for interface in readers}
    if unknown := sorted(named - catalogue.interfaces.keys()):
        raise OperatorError(
            "interface_unknown",
            what=f"there is no interface {', '.join(unknown)}",
            where="acls.readers",
            fix=f"name some of {', '.join(catalogue.interfaces)}",
            exit_code=EXIT_CONFIG,
        )
    return bindings(catalogue, acls.principals, acls.readers)


def show(todo: AclPlan, *, show_all: bool) -> None:
    """A line for each principal, operation and kind; those of others one by one."""
    console = Console()
    table = Table("principal", "acl", "operation", "what", box=None, header_style="bold")
    _add(table, todo.missing, "[green]allow[/]")
    if show_all:
        _add(table, todo.there, "[dim]there[/]")
    if table.row_count:
        console.print(table)
    for one in todo.foreign:
        note = "" if one.removable else " (about other topics too: never removed)"
        console.print(f"not ours: {one.said}{note}", soft_wrap=True, highlight=False)
    console.print(
        f"{len(todo.missing) + len(todo.there)} access control entries:"
        f" {len(todo.missing)} to allow, {len(todo.there)} there; {len(todo.foreign)} not ours",
        soft_wrap=True,
    )


def _add(table: Table, found: Iterable[Binding], label: str) -> None:
    counts = Counter((b.principal, b.operation, b.kind) for b in found)
    examples = {(b.principal, b.operation, b.kind): b for b in found}
    for at, count in sorted(counts.items()):
        principal, operation, kind = at
        name = f"{examples[at].name}{'…' if examples[at].prefixed else ''}"
        what = f"{kind} {name}" if count == 1 else f"{count} {kind}s, e.g. {name}"
        table.add_row(principal, label, operation, what)
