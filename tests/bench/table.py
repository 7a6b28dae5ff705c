"""Tables that read well in a terminal and are reStructuredText.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.figures import Figure


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A simple table; all columns but the first are to the right.

    A leading space of a first column's cell is kept by an escape, and an empty first
    cell becomes one, as reStructuredText has it.
    """
    cells = [list(head), *(list(row) for row in rows)]
    for row in cells[1:]:
        row[0] = _first(row[0])
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    lines = [_line(row, widths) for row in cells]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule]) + "\n"


def _first(cell: str) -> str:
    stripped = cell.lstrip(" ")
    return stripped if stripped == cell != "" else f"\\ … {stripped}".rstrip()


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(padded).rstrip()


def seconds(value: float) -> str:
    """To the millisecond."""
    return f"{value:.3f}"


def timings(figures: Sequence[Figure], unit: Figure) -> str:
    """Figures, with their ratio to the unit's last in each row."""
    head = ("seconds", "n", "p50", "p95", "max", "p50 ratio", "p95 ratio")
    rows = [
        (
            f.name,
            str(len(f.values)),
            seconds(f.p50),
            seconds(f.p95),
            seconds(max(f.values)),
            f"{f.p50 / unit.p50:.2f}",
            f"{f.p95 / unit.p95:.2f}",
        )
        for f in figures
    ]
    return table(head, rows)


def aim(what: str, value: float, limit: float, unit: str) -> str:
    """One aim, and plainly whether it holds."""
    verdict = "holds" if value <= limit else "DOES NOT HOLD"
    return f"* {what}: {value:.3f}{unit}, aim ≤ {limit:g}{unit}: **{verdict}**.\n"
