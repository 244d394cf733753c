"""What a redrive would do, as people and programs read it.

Lives here: the preview's tables and its JSON document. Must not live here: what is redrivable
(`streams.runtime.redrivable`), the question that follows (`redrive`).
"""

from __future__ import annotations

from datetime import timedelta

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.runtime.redrivable import Plan, Tally


def document(plan: Plan) -> dict[str, object]:
    """The plan as a JSON document."""
    return {
        "event": "preview",
        "redrivable": len(plan.candidates),
        "groups": [
            {**about._asdict(), "messages": tally.count, "first": tally.first}
            for about, tally in plan.groups().items()
        ],
        "left_out": [
            {"reason": reason, "why": reason.why, "messages": tally.count, "first": tally.first}
            for reason, tally in plan.left_out.items()
        ],
        "beyond_limit": plan.beyond,
        "older_than_horizon": plan.old,
    }


def show(console: Console, plan: Plan, *, rate: float, horizon_ms: int) -> None:
    """The plan for people: what would be redriven, what not and why, and what to think of."""
    count = len(plan.candidates)
    if count:
        lasting = timedelta(seconds=round(count / rate))
        console.print(
            f"To be redriven: {messages(count)}, {rate:g} a second at most ({lasting})",
            highlight=False,
        )
        console.print(_groups(plan))
    if plan.left_out:
        left_out = sum(tally.count for tally in plan.left_out.values())
        console.print(f"Not to be redriven: {messages(left_out)}", highlight=False)
        console.print(_left_out(plan))
    if plan.beyond:
        console.print(f"{messages(plan.beyond)} more are over --limit.", highlight=False)
    if plan.old:
        days = timedelta(milliseconds=horizon_ms).days
        console.print(
            f"{messages(plan.old)} were rejected more than {days} days ago, which is how long "
            "messages are remembered: where a correction was sent before that, both take effect.",
            style="yellow",
            highlight=False,
        )


def messages(count: int) -> str:
    """So many messages, in words."""
    return "1 message" if count == 1 else f"{count:,} messages"


def _groups(plan: Plan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("code\nsource, noun", overflow="fold")
    table.add_column("messages", justify="right")
    table.add_column("the first", overflow="fold")
    for about, tally in plan.groups().items():
        names = ", ".join(name for name in (about.source, about.noun) if name)
        table.add_row(
            Text(about.code, "yellow").append(f"\n{names}", "not bold default"),
            f"{tally.count:,}",
            _first(tally),
        )
    return table


def _left_out(plan: Plan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("why\nwhat to do", overflow="fold")
    table.add_column("messages", justify="right")
    table.add_column("the first", overflow="fold")
    for reason, tally in plan.left_out.items():
        table.add_row(
            Text(reason.why).append(f"\n{reason.fix}", "dim"), f"{tally.count:,}", _first(tally)
        )
    return table


def _first(tally: Tally) -> Text:
    return Text("\n".join(tally.first))
