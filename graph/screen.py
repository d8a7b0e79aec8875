"""What `python -m graph` prints: plain text cells, tables without borders, and the page of a ring."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from graph.answers import Edge, Layer
    from graph.rings import Evidence, Ring, Step

_NUMBERS = ("count", "events", "score", "size", "exposure CNY", "members")
_LONG = ("evidence", "lineage", "parent_ids")
_SHOWN = 5  # nodes named below a sentence; `--json` has them all
_FROM = {"merged": "merged from", "split": "split from"}


def cell(value: Any) -> Text:
    """Return a value as plain text: no markup, no control characters, times in UTC."""
    if value is None:
        return Text("")
    if isinstance(value, dt.datetime):
        return Text(f"{value:%Y-%m-%d %H:%M:%S}")
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return Text("".join(c if c.isprintable() else "\ufffd" for c in text), overflow="fold")


def details(values: Any) -> str:
    """Return the values of a node or relationship in one line; texts of many sentences are left to `show ring:ID`."""
    shown = {name: value for name, value in values.items() if value is not None and name not in _LONG}
    return " ".join(f"{name}={cell(value)}" for name, value in shown.items())


def grid(*columns: str) -> Table:
    """Return an empty table without borders; columns of numbers are set to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column in _NUMBERS
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    return table


def plain_json(value: Any) -> str:
    """Return what JSON has no form for: dates and times in ISO 8601."""
    return value.isoformat() if isinstance(value, dt.datetime | dt.date) else str(value)


def print_layer(console: Console, layer: Layer) -> None:
    """Print a node, its counts and a page of its relationships."""
    node = layer.node
    console.print(Text.assemble((node.label, "bold"), " ", cell(node.id), " ", details(node.properties)))
    console.print(Text.assemble("seen ", cell(node.first_seen_at), " to ", cell(node.last_seen_at), "\n"))
    counts = grid("relationship", "direction", "label", "count")
    for count in layer.counts:
        counts.add_row(count.relationship, count.direction, count.label, cell(count.count))
    console.print(counts)
    console.print()
    rows = grid("last seen", "relationship", "direction", "label", "id", "first seen", "events", "details")
    for row in layer.page.rows:
        rows.add_row(
            cell(row.last_seen_at), row.relationship, row.direction, row.label, cell(row.id),
            cell(row.first_seen_at), cell(row.event_count), details(row.properties),
        )  # fmt: skip
    console.print(rows)


def layer_json(layer: Layer) -> str:
    """Return a layer as one JSON object."""
    record = {
        "node": asdict(layer.node),
        "counts": [asdict(count) for count in layer.counts],
        "total": layer.total,
        "rows": [asdict(row) for row in layer.page.rows],
        "next": layer.page.next.text() if layer.page.next else None,
    }
    return json.dumps(record, ensure_ascii=False, default=plain_json)


def add_edge(table: Table, edge: Edge) -> None:
    """Add a relationship to an `edge_table`."""
    table.add_row(
        cell(edge.last_seen_at), edge.src.label, cell(edge.src.id), edge.relationship, edge.dst.label,
        cell(edge.dst.id), cell(edge.event_count),
    )  # fmt: skip


def edge_table() -> Table:
    """Return an empty table of relationships with both ends."""
    return grid("last seen", "from", "id", "relationship", "to", "id", "events")


def print_ring(console: Console, ring: Ring) -> None:
    """Print a ring as an analyst reads it: what it is, why it is one, who is in it, what became of it."""
    facts = [
        f"{ring.status or 'status unknown'}", f"score {_score(ring.score)}",
        f"size {'' if ring.size is None else f'{ring.size:,}'}", f"typology {ring.typology or 'unknown'}",
        f"exposure {_money(ring.exposure_cny)} CNY", f"born on {ring.born_on}", f"as of {ring.as_of_date}",
    ]  # fmt: skip
    console.print(Text.assemble(("Ring", "bold"), " ", cell(ring.id), ": ", cell(", ".join(facts))), soft_wrap=True)
    if ring.parent_ids:
        console.print(Text.assemble("from ", cell(", ".join(ring.parent_ids))), soft_wrap=True)
    console.print("\nWhy", style="bold")
    for number, evidence in enumerate(ring.evidence, 1):
        console.print(Text.assemble(f"{number:>3}. ", cell(evidence.text)), soft_wrap=True)
        if rests := _rests_on(evidence):
            console.print(Text.assemble("     ", (rests, "dim")), soft_wrap=True)
    if not ring.evidence:
        console.print("No sentence is on record.")
    console.print("\nWho", style="bold")
    members = grid("person", "role", "score", "since", "last seen", "why")
    for member in ring.members:
        members.add_row(
            cell(member.person_id), cell(member.role), _score(member.score), cell(member.first_seen_at),
            cell(member.last_seen_at), cell(" ".join(evidence.text for evidence in member.evidence)),
        )  # fmt: skip
    console.print(members)
    console.print(f"{len(ring.members):,} of {ring.total:,} members, core first; times are UTC.")
    console.print("\nWhat became of it", style="bold")
    for step in ring.lineage:
        console.print(cell(_step(step)), soft_wrap=True)


def print_rings(console: Console, rings: tuple[Ring, ...], total: int, order: str) -> None:
    """Print a list of rings, one line each, and how many there are."""
    table = grid("ring", "status", "score", "size", "typology", "exposure CNY", "born on", "newest", "last change")
    for ring in rings:
        changes = [step for step in ring.lineage if step.status != "same"]
        table.add_row(
            cell(ring.id), cell(ring.status), _score(ring.score), cell(ring.size), cell(ring.typology),
            _money(ring.exposure_cny), cell(ring.born_on), cell(ring.last_seen_at),
            cell(_step(changes[-1]) if changes else None),
        )  # fmt: skip
    if rings:
        console.print(table)
    first = {"score": "highest score", "exposure": "largest exposure", "newest": "newest"}[order]
    console.print(f"{len(rings):,} of {total:,} rings, {first} first.")


def ring_json(ring: Ring) -> str:
    """Return a ring as one JSON object."""
    return json.dumps(asdict(ring), ensure_ascii=False, default=plain_json)


def rings_json(rings: tuple[Ring, ...], total: int) -> str:
    """Return a list of rings as one JSON object; evidence and members are asked for ring by ring."""
    rows = [asdict(ring) for ring in rings]
    for row in rows:
        for name in ("evidence", "members", "total"):
            del row[name]
    return json.dumps({"total": total, "rows": rows}, ensure_ascii=False, default=plain_json)


def _step(step: Step) -> str:
    said = _FROM.get(step.status, step.status)
    return f"{step.date}  {said} {', '.join(step.from_ids)}".rstrip()


def _rests_on(evidence: Evidence) -> str:
    named = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in evidence.nodes]
    shown = ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN:,} more" if len(named) > _SHOWN else "")
    links = len(evidence.relationships)
    return str(cell("; ".join(part for part in (shown, f"{links:,} relationships" if links else "") if part)))


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


def _money(amount: float | None) -> str:
    return "" if amount is None else f"{amount:,.2f}"
