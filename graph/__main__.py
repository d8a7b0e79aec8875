"""`python -m graph`: the local server, its jars, and questions to the graph. Heavy modules load when used."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from graph.failures import spoken
from graph.screen import (
    add_edge,
    cell,
    edge_table,
    grid,
    layer_json,
    print_layer,
    print_ring,
    print_rings,
    ring_json,
    rings_json,
)

if TYPE_CHECKING:
    from graph.answers import End
    from graph.audit import AuditLog
    from graph.reader import GraphReader
    from graph.settings import PlatformSettings
    from graph.tokens import Keys

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help=__doc__, add_completion=False)
server = typer.Typer(no_args_is_help=True, help="The local Neo4j.")
audit = typer.Typer(no_args_is_help=True, help="The log of who saw what.")
app.add_typer(server, name="server")
app.add_typer(audit, name="audit")

TARGET = (
    "tel:13800138000, dev: imei: sim: ip: wifi: adr: com: crd: acc: with a plain value; a token; "
    "or person:ID, application:ID, loan:ID, channel:ID, ring:ID"
)
Target = Annotated[str, typer.Argument(help=TARGET, show_default=False)]
Since = Annotated[str | None, typer.Option(help="Only what was seen at or after this date or time (UTC), inclusive.")]
Type = Annotated[str | None, typer.Option("--type", help="One relationship type, for example CALLED.")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="Rows on the page.")]
After = Annotated[str | None, typer.Option(help="Mark printed below the page before.")]


def _console() -> Console:
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=160)


@contextmanager
def _sentences() -> Iterator[Console]:
    """Let expected failures, wrong settings among them, end as one sentence and exit code 1."""
    from pydantic import ValidationError

    from graph.answers import GraphError

    with spoken():
        try:
            yield _console()
        except ValidationError as error:
            fields = ", ".join(str(item["loc"][0]) for item in error.errors() if item["loc"])
            raise GraphError(f"{error.title} cannot use its {fields}. Correct the environment variable.") from None


def _settings() -> PlatformSettings:
    from graph.settings import PlatformSettings

    return PlatformSettings()


def _keys() -> Keys:
    from graph.tokens import Keys

    return Keys.read(_settings().keys)


def _audit_log() -> AuditLog:
    from graph.audit import AuditLog

    return AuditLog(f"sqlite:///{_settings().keys.absolute().parent / 'audit.db'}")


@contextmanager
def _reader() -> Iterator[GraphReader]:
    from graph.reader import GraphReader
    from graph.server import connect
    from graph.settings import Neo4jSettings

    with connect(Neo4jSettings(), _settings().cache) as driver:
        yield GraphReader(driver)


def _resolve(target: str) -> End:
    from graph.lookup import resolve

    return resolve(target, _keys)


def _moment(text: str) -> dt.datetime:
    from graph.answers import GraphError

    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise GraphError("--since needs a date such as 2024-05-01, or a time such as 2024-05-01T08:00:00Z.") from None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


@server.command("start")
def start() -> None:
    """Start the local Neo4j, fetching its jars the first time, and wait until it answers."""
    with _sentences() as console:
        from graph.server import LocalServer
        from graph.settings import Neo4jSettings

        local = LocalServer(Neo4jSettings(), _settings().cache)
        local.start()
        console.print(f"Neo4j answers at {local.uri}; the password of user neo4j is in {local.home / 'password'}.")


@server.command("stop")
def stop() -> None:
    """Stop the local Neo4j cleanly; one that does not run is fine."""
    with _sentences() as console:
        from graph.server import LocalServer
        from graph.settings import Neo4jSettings

        LocalServer(Neo4jSettings(), _settings().cache).stop()
        console.print("Neo4j is stopped.")


@server.command("rollback")
def rollback() -> None:
    """Serve the store that served before the last full load; twice is back again."""
    with _sentences() as console:
        from graph import bulk
        from graph.server import LocalServer
        from graph.settings import Neo4jSettings

        name = bulk.rollback(LocalServer(Neo4jSettings(), _settings().cache))
        console.print(f"Neo4j serves {name}.")


@server.command("status")
def status() -> None:
    """Say whether the local Neo4j runs, where, and which store it serves; exit code 1 if it does not run."""
    with _sentences() as console:
        from graph.server import LocalServer
        from graph.settings import Neo4jSettings

        found = LocalServer(Neo4jSettings(), _settings().cache).status()
        state = f"runs (process {found.pid}) at {found.uri}" if found.running else "does not run"
        console.print(f"Neo4j {found.version} {state}; store {found.store or 'none'} in {found.home}.")
        if not found.running:
            raise typer.Exit(1)


@app.command("jars")
def jars(
    sets: Annotated[
        list[str] | None, typer.Argument(help="server, spark, graphframes, gds; the first three unless told")
    ] = None,
) -> None:
    """Fetch the locked jars that are missing and compare their checksums."""
    with _sentences() as console:
        from graph.jars import fetch

        for name in sets or ("server", "spark", "graphframes"):
            console.print(f"{name}: {len(fetch(name, _settings().cache))} jars")


@app.command("show")
def show(
    target: Target,
    relationship: Type = None,
    direction: Annotated[str | None, typer.Option(help="in or out, seen from the node.")] = None,
    since: Since = None,
    limit: Limit = 200,
    after: After = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Print a node, exact counts by type, and its relationships, newest first; of a ring, its case.

    With --type, --direction, --since or --after a ring is shown as any other node.
    """
    with _sentences() as console, _reader() as reader:
        from graph.answers import Cursor, NodeMissingError
        from graph.lookup import spelled

        end = _resolve(target)
        if end.label == "Ring" and not (relationship or direction or since or after):
            ring = reader.ring(end.id, limit)
            if ring is None:
                raise NodeMissingError(
                    f"The graph holds no such ring ({end.id[:40]}). It may be dissolved; `python -m graph rings` lists "
                    "those there are."
                )
            print(ring_json(ring)) if as_json else print_ring(console, ring)
            return
        layer = reader.layer(
            end.label, end.id, relationship=relationship, direction=direction,  # type: ignore[arg-type]  # checked there
            since=_moment(since) if since else None, limit=limit, after=Cursor.parse(after) if after else None,
        )  # fmt: skip
        if layer is None:
            raise NodeMissingError(
                f"The graph holds no such {end.label} ({end.id[:40]}). Check the value, or load its night."
            )
        if as_json:
            print(layer_json(layer))
            return
        print_layer(console, layer)
        shown = f"{len(layer.page.rows):,} of {layer.total:,}"
        console.print(f"\n{shown}{f', since {since}' if since else ''}, newest first; times are UTC.")
        if layer.page.next:
            chosen = [("--type", relationship), ("--direction", direction), ("--since", since), ("--limit", limit)]
            again = "".join(f" {name} {value}" for name, value in chosen if value and value != 200)
            console.print(
                Text(f"Next page: python -m graph show {spelled(end)}{again} --after {layer.page.next.text()}"),
                soft_wrap=True,
            )


@app.command("rings")
def rings(
    status: Annotated[
        str | None, typer.Option(help="born, same, grown, merged or split: what the last night did.")
    ] = None,
    typology: Annotated[str | None, typer.Option(help="Only rings of one typology.")] = None,
    min_score: Annotated[float | None, typer.Option(min=0, max=1, help="Inclusive.")] = None,
    order: Annotated[str, typer.Option("--by", help="score, exposure or newest; ties by the other two.")] = "score",
    limit: Limit = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Print the rings, highest score first."""
    with _sentences() as console, _reader() as reader:
        found = reader.rings(status=status, typology=typology, min_score=min_score, order=order, limit=limit)
        if as_json:
            print(rings_json(found.rows, found.total))
        else:
            print_rings(console, found.rows, found.total, order)


@app.command("path")
def path(
    a: Target,
    b: Target,
    every: Annotated[bool, typer.Option("--all", help="Up to five shortest paths instead of one.")] = False,
    hops: Annotated[int, typer.Option(min=1, max=6)] = 6,
) -> None:
    """Print a shortest path between two nodes, whatever the directions; at most 6 hops and 3 seconds."""
    with _sentences() as console, _reader() as reader:
        ends = [(end.label, end.id) for end in (_resolve(a), _resolve(b))]
        found = (reader.shortest_paths if every else reader.shortest_path)(ends[0], ends[1], hops)
        for edges in found.paths:
            table = edge_table()
            for edge in edges:
                add_edge(table, edge)
            console.print(table)
            console.print()
        console.print(f"Path: {found.sentence}.")
        if found.stopped:
            raise typer.Exit(1)


@app.command("common")
def common(a: Target, b: Target, limit: Limit = 200) -> None:
    """Print the nodes next to both of two nodes."""
    with _sentences() as console, _reader() as reader:
        ends = [(end.label, end.id) for end in (_resolve(a), _resolve(b))]
        found = reader.common_neighbors(ends[0], ends[1], limit)
        table = grid("label", "id", "to the first by", "to the second by")
        for node in found.rows:
            table.add_row(node.label, cell(node.id), ", ".join(node.with_a), ", ".join(node.with_b))
        if found.rows:
            console.print(table)
        console.print(f"{len(found.rows):,} of {found.total:,} common neighbors, by label and id.")


@app.command("newest")
def newest(
    since: Annotated[str, typer.Option(help="Date or time (UTC), inclusive.")],
    relationship: Type = None,
    limit: Limit = 200,
    after: After = None,
) -> None:
    """Print the relationships of the whole graph seen since a date, newest first."""
    with _sentences() as console, _reader() as reader:
        from graph.answers import Cursor

        found = reader.newest_relations(_moment(since), limit, Cursor.parse(after) if after else None, relationship)
        table = edge_table()
        for edge in found.rows:
            add_edge(table, edge)
        if found.rows:
            console.print(table)
        console.print(f"{len(found.rows):,} relationships since {since}, newest first; times are UTC.")
        if found.next:
            kind = f" --type {relationship}" if relationship else ""
            count = f" --limit {limit}" if limit != 200 else ""
            mark = f"Next page: python -m graph newest --since {since}{kind}{count} --after {found.next.text()}"
            console.print(Text(mark), soft_wrap=True)


@app.command("counts")
def counts() -> None:
    """Print how many nodes of each label and relationships of each type the graph holds."""
    with _sentences() as console, _reader() as reader:
        nodes, relationships = reader.totals()
        table = grid("what", "name", "count")
        for kind, totals in (("node", nodes), ("relationship", relationships)):
            for name, total in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
                if total:
                    table.add_row(kind, name, cell(total))
        console.print(table)
        console.print(f"{sum(nodes.values()):,} nodes, {sum(relationships.values()):,} relationships.")


@app.command("reveal")
def reveal(
    token: Annotated[str, typer.Argument(help="For example tel_ and 32 hexadecimal digits.", show_default=False)],
    user: Annotated[str, typer.Option(help="Who asks; written to the audit log.")],
    purpose: Annotated[str, typer.Option(help="Why, with the case; written to the audit log.")],
) -> None:
    """Print the plain value behind a token, once the audit log holds who asked and why."""
    with _sentences():
        from graph.lake import Lake
        from graph.vault import Vault

        print(Vault(Lake(_settings().lake).vault, _keys(), _audit_log()).reveal(token, user, purpose))


@audit.command("verify")
def verify() -> None:
    """Walk the audit log's chain; name the first broken row and exit with 1 if there is one."""
    with _sentences() as console:
        chain = _audit_log().verify()
        if chain.first_broken_seq is not None:
            console.print(
                f"The audit log is broken at row {chain.first_broken_seq:,}; the {chain.rows:,} before it are whole."
            )
            raise typer.Exit(1)
        console.print(f"The audit log is whole: {chain.rows:,} rows, head {chain.head}.")


if __name__ == "__main__":
    app(prog_name="python -m graph")
