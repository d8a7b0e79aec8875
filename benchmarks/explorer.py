"""`make bench-explorer`: what users of the explorer wait for at 10⁷ edges, measured on the served application.

Everything runs on this machine: Neo4j, the explorer, the browser, fifty analysts. `--only` measures some parts again;
the others keep their figures. `--scale` shrinks the world, to try the parts; nothing is written then.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import requests
from werkzeug.serving import make_server

from algorithms.contact.settings import QueueSettings
from benchmarks.explorer_http import AnswerError, Browser
from benchmarks.explorer_screen import elements, first_page, painted, spread
from benchmarks.explorer_stand import ANALYSTS, Stand, served
from benchmarks.explorer_world import BEGIN, END, HUB, draw_nodes, full_name, node_id, sizes
from benchmarks.machine import description
from explorer.application import create_app
from explorer.desk import Desk
from explorer.settings import ExplorerSettings
from graph.server import free_port
from graph.settings import Neo4jSettings

RESULTS = Path(__file__).parent / "results" / "explorer.json"
_EACH = 60  # of four kinds of nodes, and of phones that are called a lot
_HUB_TIMES = 30
_LOAD_SECONDS, _SPAWN_A_SECOND = 120, 1
_DAY = 86_400
_FRESH = "nodes_not_asked_before"
Asked = list[tuple[str, str]]


class Clock:
    """Asks questions of the canvas and keeps how long each took, by name; what came too late is timed and counted."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.times: dict[str, list[float]] = {}
        self.late = 0

    def ask(self, name: str, kind: str, **question: Any) -> dict[str, Any] | None:
        """Return the answer, None where there was none in time."""
        try:
            return self._browser.ask(kind, **question)
        except AnswerError as error:
            print(error, flush=True)
            self.late += 1
            return None
        finally:
            self.times.setdefault(name, []).append(self._browser.seconds * 1e3)

    def told(self) -> dict[str, Any]:
        """Return what is written of it."""
        return {name: spread(took) for name, took in self.times.items()} | {"too_late": self.late}


def server(stand: Stand) -> dict[str, Any]:
    """Time the answers to one question at a time: at first with nothing in memory, then in ordinary use."""
    stand.cool()
    unplanned = stand.warm()
    stand.cool()
    browser = _signed_in(stand)
    cold = _layers(browser, draw_nodes(stand.scale, _EACH // 4, seed=1))
    stand.warm()
    _layers(browser, draw_nodes(stand.scale, _EACH // 2, seed=2))
    nodes = draw_nodes(stand.scale, _EACH, seed=3)
    told = {"first_layer_of_a_label_seconds": unplanned, "nothing_in_memory": cold, _FRESH: _layers(browser, nodes)}
    return told | {"again": _layers(browser, nodes), "hub": _beside_hub(browser)}


def _layers(browser: Browser, nodes: Asked) -> dict[str, Any]:
    """Ask for the counts and the first page of each node."""
    clock, degrees, links = Clock(browser), [], 0
    for label, id in nodes:
        if told := clock.ask("menu", "menu", label=label, id=id):
            degrees.append(sum(row["count"] for row in told["menu"]["counts"]))
        if found := clock.ask("expand", "expand", nodes=[{"label": label, "id": id}]):
            links += len(found["edges"])
    degree = {name.removesuffix("_ms"): value for name, value in spread(degrees).items()}
    return clock.told() | {"degree": degree, "links": links}


def _beside_hub(browser: Browser) -> dict[str, Any]:
    """Ask beside the node with most edges: counts, first pages, pages one after the other, windows of a month."""
    clock, hub, edges = Clock(browser), {"label": "Phone", "id": node_id("phone", HUB)}, 0
    found = None
    for n in range(_HUB_TIMES):
        if told := clock.ask("menu", "menu", **hub):
            edges = sum(row["count"] for row in told["menu"]["counts"])
        found = clock.ask("first_page", "expand", nodes=[hub]) or found
        since = BEGIN + n * (END - BEGIN) // _HUB_TIMES
        clock.ask("month", "expand", nodes=[hub], since=since, until=since + 30 * _DAY)
    seen: set[str] = set()
    for _ in range(_HUB_TIMES):
        if found is None or (page := found["pages"][0])["next"] is None:
            break
        fresh = {edge["key"] for edge in found["edges"]}
        if fresh & seen:
            raise SystemExit("Two pages beside the hub hold the same link: they are not exact.")
        seen |= fresh
        found = clock.ask("next_page", "expand", nodes=[hub], after=page["next"], shown=page["shown"])
    return {"edges": edges} | clock.told()


def queries(stand: Stand) -> dict[str, Any]:
    """Count the statements to Neo4j of each answer, in an application of this process whose door is counted."""
    settings = ExplorerSettings(port=free_port())
    neo4j = Neo4jSettings(uri=None, home=stand.neo4j.home, port=stand.neo4j.settings.port)
    app = create_app(settings, stand.platform, QueueSettings(), neo4j)
    desk: Desk = app.extensions["desk"]
    asked: list[str] = []
    ask = desk.door.execute_query

    def counted(query: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(str(getattr(query, "text", query)))
        return ask(query, *arguments, **options)

    desk.door.execute_query = counted  # type: ignore[method-assign]
    serving = make_server("127.0.0.1", settings.port, app, threaded=True)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        browser = Browser(requests.Session(), f"http://127.0.0.1:{settings.port}")
        browser.sign_in(*stand.users[0])
        hub = ("Phone", node_id("phone", HUB))
        browser.ask("expand", nodes=[{"label": hub[0], "id": hub[1]}])
        begin = len(asked)  # with the totals of the whole graph, which are kept for ten minutes
        numbers: dict[str, Counter[int]] = {"menu": Counter(), "expand": Counter(), "expand_hub": Counter()}
        for label, id in [*draw_nodes(stand.scale, 10, seed=4), *[hub] * 10]:
            named = {"label": label, "id": id}
            for kind, question in (("menu", named), ("expand", {"nodes": [named]})):
                asked.clear()
                browser.ask(kind, **question)
                numbers["expand_hub" if kind == "expand" and id == hub[1] else kind][len(asked)] += 1
    finally:
        serving.shutdown()
        thread.join()
        desk.door.close()
    told = {name: {str(n): times for n, times in sorted(found.items())} for name, found in numbers.items()}
    most = {name: max(found) for name, found in numbers.items()}
    return {
        "first_of_all": begin, "answers_by_queries": told, "most": most,
        "how": "counted at the explorer's door to Neo4j, in an application of the benchmark's own process",
    }  # fmt: skip


def analysts(stand: Stand) -> dict[str, Any]:
    """Let fifty analysts work, each one action every five seconds, from a process of its own."""
    given, into = stand.folder / "analysts.json", stand.folder / "done.json"
    names = [full_name(n) for n in range(0, sizes(stand.scale)["person"], max(1, sizes(stand.scale)["person"] // 100))]
    tokens = [id for _, id in draw_nodes(stand.scale, 20, seed=6)]
    numbers = [f"138{n * 7_654_321 % 10**8:08}" for n in range(1, 50)]
    told = {
        "url": stand.url, "users": stand.users, "into": str(into), "nodes": draw_nodes(stand.scale, 400, seed=5),
        "texts": names + tokens + numbers, "rings": [node_id("ring", n) for n in range(sizes(stand.scale)["ring"])],
    }  # fmt: skip
    with os.fdopen(os.open(given, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(told, file)
    into.unlink(missing_ok=True)
    seconds = _LOAD_SECONDS + ANALYSTS // _SPAWN_A_SECOND
    locust = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("explorer_load.py")), "--headless",
              "--users", str(ANALYSTS), "--spawn-rate", str(_SPAWN_A_SECOND), "--run-time", f"{seconds}s",
              "--only-summary", "--exit-code-on-error", "0"]  # fmt: skip
    with (stand.folder / "locust.log").open("wb") as log:
        subprocess.run(locust, env=os.environ | {"BENCH_EXPLORER": str(given)}, stdout=log, stderr=log, check=True)
    found = json.loads(into.read_text())
    done = [one for one in found["done"] if one["at"] >= found["all_here_at"] and one["name"] != "sign_in"]
    took = max(one["at"] for one in done) - found["all_here_at"]
    errors = Counter(one["error"] for one in found["done"] if one["error"])
    kinds = sorted({one["name"] for one in done})

    def times(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
        return spread(one["seconds"] * 1e3 for one in rows)

    return {
        "analysts": ANALYSTS, "seconds": round(took), "actions_per_second": round(len(done) / took, 2),
        "all": times(done), "errors": sum(errors.values()),
        "errors_while_signing_in": sum(bool(one["error"]) for one in found["done"] if one["name"] == "sign_in"),
        "error_texts": dict(errors.most_common(5)),
        "by_action": {kind: times(one for one in done if one["name"] == kind) for kind in kinds},
        "sign_in": times(one for one in found["done"] if one["name"] == "sign_in"),
    }  # fmt: skip


PARTS: dict[str, Callable[[Stand], dict[str, Any]]] = {
    "server": server, "queries": queries, "painted": painted, "first_page": first_page, "elements": elements,
    "analysts": analysts,
}  # fmt: skip


FIGURES: dict[str, tuple[str, Callable[[Any], float], float]] = {
    "menu p95 ms": ("server", lambda p: p[_FRESH]["menu"]["p95_ms"], 150),
    "menu p95 ms beside the hub": ("server", lambda p: p["hub"]["menu"]["p95_ms"], 150),
    "expand p95 ms": ("server", lambda p: p[_FRESH]["expand"]["p95_ms"], 400),
    "expand p95 ms beside the hub": (
        "server", lambda p: max(p["hub"][name]["p95_ms"] for name in ("first_page", "next_page", "month")), 400
    ),
    "answers too late": ("server", lambda p: sum(p[name]["too_late"] for name in (_FRESH, "again", "hub")), 0),
    "queries an expand, most": ("queries", lambda p: max(p["most"][name] for name in ("expand", "expand_hub")), 2),
    "requests an expand, most": ("painted", lambda p: p["requests_an_expand_most"], 1),
    "expand painted p95 ms": ("painted", lambda p: p["expand"]["p95_ms"], 1000),
    "expand painted p95 ms beside the hub": ("painted", lambda p: p["hub_pages"]["p95_ms"], 1000),
    "expands not painted in 15 s": ("painted", lambda p: p["not_painted_in_15_s"], 0),
    "rings not shown in 20 s": ("first_page", lambda p: sum(one["not_shown_in_20_s"] for one in p.values()), 0),
    "sign-in to a ring's picture p95 ms": ("first_page", lambda p: p["used_browser"]["sum"]["p95_ms"], 2000),
    "the same in a new browser": ("first_page", lambda p: p["new_browser"]["sum"]["p95_ms"], 2000),
    "longest task ms at 300 elements": ("elements", lambda p: p["longest_ms"], 200),
    "action p95 ms of fifty analysts": ("analysts", lambda p: p["all"]["p95_ms"], 1000),
    "errors of fifty analysts": ("analysts", lambda p: p["errors"], 0),
}  # fmt: skip


def reached(parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each figure was to be and is, for the parts that were measured."""
    told = {}
    for name, (part, value, most) in FIGURES.items():
        if part in parts:
            is_now = value(parts[part]["figures"])
            told[name] = {"is": is_now, "at_most": most, "reached": is_now <= most}
    return told


def _signed_in(stand: Stand) -> Browser:
    browser = Browser(requests.Session(), stand.url)
    browser.sign_in(*stand.users[0])
    return browser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the world; below 1 nothing is written")
    parser.add_argument("--only", action="append", choices=sorted(PARTS), help="a part; repeatable; default: all")
    parser.add_argument("--keep", type=Path, help="a folder in which the world stays, to be measured again")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends with it
    folder = given.keep or Path(tempfile.mkdtemp(prefix="bench-explorer-"))
    told: dict[str, Any] = {"machine": description(), "measured_on": date.today().isoformat(), "parts": {}}
    whole = given.scale == 1.0
    if whole and RESULTS.exists():
        told |= {
            name: json.loads(RESULTS.read_text())[name] for name in ("parts", "peak_gb")
        }  # the others' figures stay
    try:
        with served(folder, given.scale) as stand:
            told["world"] = stand.world
            stand.peaks_gb = dict(told.get("peak_gb", {}))
            print(json.dumps(stand.world), flush=True)
            stand.warm()  # what Neo4j plans at the first question is no part of any figure but the one that says so
            for name in given.only or PARTS:
                begun, load = time.monotonic(), round(os.getloadavg()[0], 2)
                part = PARTS[name](stand)
                stand.note_memory()
                took = {"took_seconds": round(time.monotonic() - begun), "load_average_before": load}
                told["parts"][name] = {"figures": part} | took
                told |= {"peak_gb": stand.peaks_gb, "reached": reached(told["parts"])}
                print(json.dumps({name: told["parts"][name]}, ensure_ascii=False), flush=True)
                if whole:
                    RESULTS.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"peak_gb": told.get("peak_gb"), "reached": told.get("reached")}, indent=1), flush=True)


if __name__ == "__main__":
    main()
