"""How a reference page looks."""

from __future__ import annotations

from collections.abc import Sequence


def page(title: str, made_from: str, *parts: str, depth: int = 0) -> str:
    """A page with the remark where its facts come from; so many folders below docs/reference."""
    link = f"[{made_from}]({'../' * (2 + depth)}{made_from})"
    note = f"Made from {link} by `make docs`; change that, not this page."
    return "\n\n".join([f"# {title}", note, *(part.strip("\n") for part in parts)]) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def code(text: object) -> str:
    """A text as code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""
