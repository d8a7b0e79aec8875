"""What an analyst waits for at the screen: Chromium, driven as by hand, with the clocks inside the page."""

from __future__ import annotations

import math
import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, TimeoutError, sync_playwright

from benchmarks.explorer_stand import Stand
from benchmarks.explorer_world import HUB, draw_nodes, node_id, sizes

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
LONG_MS = 200
_EACH = 8  # expands of every kind of node
_NEXT = 6  # further pages beside the hub
_SIGN_INS = 20
_VISITS_BEFORE = 3  # after which a browser keeps scripts compiled
_WAIT_MS = 20_000
_OPEN = 150  # neighbors of the hub that are drawn one by one: with their links some 300 elements
_SIZE = {"width": 1440, "height": 860}

# Runs in every page before its own scripts. `watch` waits for the first frame that shows more than the canvas held;
# marks are moments since 1970, so that they can be compared across pages.
_CLOCKS = """
window.bench = (() => {
  const clock = () => performance.timeOrigin + performance.now();
  const afterFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  const long = [];
  new PerformanceObserver((list) => list.getEntries().forEach((one) => long.push(Math.round(one.duration))))
    .observe({ type: "longtask" });
  let asked = null;
  const asks = (event) => event.type === "keydown" ? event.ctrlKey && event.key === "e"
    : event.target.closest("[data-focus=expand], .cv-next");
  for (const kind of ["keydown", "click"])
    document.addEventListener(kind, (event) => { if (asks(event)) asked = event.timeStamp; }, true);
  const held = () => { const { now } = window.canvasPage.peek().model; return now.nodes.length + now.edges.length; };
  const watch = () => {
    const cy = window.canvasView.live();
    const before = held();
    asked = null;
    window.bench.painted = new Promise((done) => {
      const drawn = () => {
        if (held() === before) return;
        cy.off("render", drawn);
        setTimeout(() => done(performance.now() - asked), 0); // after the frame that it belongs to
      };
      cy.on("render", drawn);
      setTimeout(() => done(null), 15000);
    });
  };
  if (location.protocol.startsWith("http")) {
    const marks = JSON.parse(sessionStorage.getItem("bench") || "{}");
    const mark = (name, at) => { marks[name] = at; sessionStorage.setItem("bench", JSON.stringify(marks)); };
    document.addEventListener("click", (event) => {
      const name = event.target.closest("button[type=submit]") ? "submit" : event.target.closest(".ag-row") && "row";
      if (name && !(name in marks)) mark(name, performance.timeOrigin + event.timeStamp);
    }, true);
    const awaited = { list: "#rings-table .ag-center-cols-container .ag-row", picture: "#rings-picture[data-drawn]" };
    const look = () => {
      for (const [name, selector] of Object.entries(awaited)) {
        if (name in marks || !document.querySelector(selector)) continue;
        delete awaited[name];
        afterFrame().then(() => {
          mark(name, clock());
          document.documentElement.dataset.bench = Object.keys(marks).join(" ");
        });
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }
  return { watch, long, marks: () => JSON.parse(sessionStorage.getItem("bench")), painted: null };
})();
"""


def spread(milliseconds: Iterable[float]) -> dict[str, float]:
    """Return how many there are, median, 95th percentile (the smallest that 95 % do not exceed) and the most."""
    ordered = sorted(milliseconds)
    if not ordered:
        return {"n": 0}

    def at(share: float) -> float:
        return round(ordered[math.ceil(share * len(ordered)) - 1], 1)

    return {"n": len(ordered), "p50_ms": at(0.5), "p95_ms": at(0.95), "max_ms": round(ordered[-1], 1)}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(**_launch())
        try:
            yield running
        finally:
            running.close()


def _launch() -> dict[str, Any]:
    path = next((path for path in CHROMIUM if Path(path).exists()), None)
    if path is None:
        raise SystemExit("Chromium was needed and is not here: apt-get install chromium")
    return {"executable_path": path, "args": ["--no-sandbox"] if os.geteuid() == 0 else []}


def _context(browser: Browser, stand: Stand) -> BrowserContext:
    return _clocked(browser.new_context(viewport=_SIZE, locale="en-US", base_url=stand.url))  # type: ignore[arg-type]


@contextmanager
def _used(stand: Stand) -> Iterator[BrowserContext]:
    """A browser with a profile on the disk, as people have: it keeps files, and scripts as it compiled them."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, **_launch(), viewport=_SIZE, locale="en-US", base_url=stand.url  # type: ignore[arg-type]
        )  # fmt: skip
        try:
            yield _clocked(context)
        finally:
            context.close()


def _clocked(context: BrowserContext) -> BrowserContext:
    context.set_default_timeout(_WAIT_MS)
    context.add_init_script(_CLOCKS)
    return context


def _sign_in(page: Page, stand: Stand) -> None:
    name, password = stand.users[0]
    page.goto("/login")
    page.fill("#name", name)
    page.fill("#password", password)
    page.click("button[type=submit]")
    page.wait_for_selector("#shell-content")


def _begin(page: Page, label: str, id: str) -> bool:
    """Open a canvas that holds one node, with its counts; return whether it has links."""
    page.goto(f"/canvas?node={label}:{id}")
    page.wait_for_selector("#canvas-inspector .cv-counts", state="attached")
    _settled(page)
    return page.locator("#canvas-inspector .cv-counts button").count() > 0


def _settled(page: Page) -> None:
    page.wait_for_timeout(80)
    page.wait_for_selector("#canvas[aria-busy=false]")


def painted(stand: Stand, seed: int = 3) -> dict[str, Any]:
    """From the key, or the click, to the frame that shows the new elements; and the requests that an expand makes."""
    hub = node_id("phone", HUB)
    asked: list[str] = []
    calls: list[int] = []
    ordinary: list[float] = []
    beside_hub: list[float] = []
    late = 0

    def expand(into: list[float], press: Any) -> None:
        nonlocal late
        page.evaluate("() => bench.watch()")
        asked.clear()
        press()
        took = page.evaluate("() => bench.painted")
        calls.append(len(asked))
        if took is None:
            late += 1
        else:
            into.append(took)
        _settled(page)

    def by_key() -> None:
        page.focus("#canvas-graph")
        page.keyboard.press("Control+e")

    with chromium() as browser:
        page = _context(browser, stand).new_page()
        _sign_in(page, stand)
        page.on("request", lambda request: asked.append(request.url) if "_dash-update" in request.url else None)
        for label, id in draw_nodes(stand.scale, _EACH, seed):
            if _begin(page, label, id):
                expand(ordinary, by_key)
        for _ in range(3):
            _begin(page, "Phone", hub)
            expand(beside_hub, lambda: page.click("[data-focus=expand]"))
            for _ in range(_NEXT):
                expand(beside_hub, lambda: page.click(".cv-next"))
    return {"expand": spread(ordinary), "hub_pages": spread(beside_hub), "not_painted_in_15_s": late,
            "requests_an_expand_most": max(calls)}  # fmt: skip


def first_page(stand: Stand) -> dict[str, Any]:
    """From the click that signs in to the list of rings, from a row to its picture: in new browsers, in a used one.

    The used one has been here three times: as that of an analyst on the fourth morning.
    """

    def once(context: BrowserContext, number: int) -> tuple[float, float]:
        context.clear_cookies()
        page = context.new_page()
        _sign_in(page, stand)
        page.wait_for_selector("html[data-bench~=list]")
        rows = page.locator("#rings-table .ag-center-cols-container .ag-row")
        rows.nth(number % min(8, rows.count())).click()
        page.wait_for_selector("html[data-bench~=picture]")
        marks = page.evaluate("() => bench.marks()")
        page.close()
        return marks["list"] - marks["submit"], marks["picture"] - marks["row"]

    def tried(context: BrowserContext, number: int) -> tuple[float, float] | None:
        try:
            return once(context, number)
        except TimeoutError:
            return None

    def told(tries: list[tuple[float, float] | None]) -> dict[str, Any]:
        legs = [legs for legs in tries if legs is not None]
        return {"sign_in_to_list": spread(a for a, _ in legs), "row_to_picture": spread(b for _, b in legs),
                "sum": spread(a + b for a, b in legs), "not_shown_in_20_s": len(tries) - len(legs)}  # fmt: skip

    with chromium() as browser:
        new = []
        for number in range(_SIGN_INS):
            context = _context(browser, stand)
            new.append(tried(context, number))
            context.close()
    with _used(stand) as context:
        for number in range(_VISITS_BEFORE):
            tried(context, number)
        used = [tried(context, number) for number in range(_SIGN_INS)]
    return {"new_browser": told(new), "used_browser": told(used)}


def elements(stand: Stand) -> dict[str, Any]:
    """The tasks that hold the page while 300 elements arrive and while they are moved; three rounds, all are told."""
    rounds = []
    with chromium() as browser:
        page = _context(browser, stand).new_page()
        _sign_in(page, stand)
        for number in range(3):
            rounds.append({"neighbors_of_the_hub": _opened_group(page, stand), "mixed": _mixed(page, stand, number)})
    worst = [
        task for one in rounds for part in one.values() for tasks in (part["arrive"], part["move"]) for task in tasks
    ]
    return {"rounds": rounds, "longest_ms": max(worst, default=0),
            "tasks_over_200_ms": sum(task > LONG_MS for task in worst)}  # fmt: skip


def _opened_group(page: Page, stand: Stand) -> dict[str, Any]:
    """Expand the hub to a group of neighbors, then open the group."""
    some = min(_OPEN, sizes(stand.scale)["phone"] - 1)
    _begin(page, "Phone", node_id("phone", HUB))
    page.click(".cv-filter summary")
    page.fill("[data-focus=f-limit]", str(some))
    page.evaluate("() => { bench.long.length = 0; }")
    page.click(".cv-filter button[type=submit]")
    page.wait_for_selector(".cv-page")
    _settled(page)
    page.evaluate("() => { canvasView.select([canvasPage.peek().result.groups[0].key]); }")
    page.click("[data-focus=open]")
    return _watched(page)


def _mixed(page: Page, stand: Stand, seed: int) -> dict[str, Any]:
    """Let nodes of several kinds come with links among them, as an answer brings them."""
    rng = random.Random(seed)
    nodes = [
        {"key": f"Person:p{n}", "label": rng.choice(["Person", "Phone", "Device"]), "id": f"p{n}", "text": f"per_{n}"}
        for n in range(130)
    ]
    pairs = {(n, rng.randrange(n)) for n in range(1, 130)} | {tuple(rng.sample(range(130), 2)) for _ in range(50)}
    edges = [
        {"key": f"e{a}-{b}", "type": "CALLED", "source": f"Person:p{a}", "target": f"Person:p{b}",
         "first": 1_780_000_000 + 86_400 * a, "last": 1_780_000_000 + 86_400 * a, "count": 3, "facts": []}
        for a, b in sorted(pairs)
    ][:170]  # fmt: skip
    page.goto("/canvas")
    page.wait_for_selector("#canvas-tools button")
    page.wait_for_timeout(500)
    # In a task of the page's own, for what a debugger evaluates is no task.
    page.evaluate(
        """(facts) => { bench.long.length = 0; setTimeout(() => {
        canvasModel.add(canvasPage.peek().model, facts); canvasPage.draw(); }, 0); }""",
        {"nodes": nodes, "edges": edges},
    )
    return _watched(page)


def _watched(page: Page) -> dict[str, Any]:
    """Wait three seconds, then zoom, drag the whole and drag a node; return the long tasks of both (50 ms and more)."""
    page.wait_for_timeout(3000)
    arrive = page.evaluate("() => bench.long.splice(0)")
    drawn = page.evaluate("() => canvasView.live().elements().length")
    box = page.locator("#canvas-graph").bounding_box()
    assert box is not None, "the canvas has a place on the screen"
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for turn in (120, 120, -120, -120, -120, 120):
        page.mouse.wheel(0, turn)
        page.wait_for_timeout(40)
    node = page.evaluate("() => canvasView.live().nodes()[7].renderedPosition()")
    corner = (box["x"] + 8, box["y"] + 8)
    for x, y in (corner, (box["x"] + node["x"], box["y"] + node["y"])):
        page.mouse.move(x, y)
        page.mouse.down()
        for step in range(1, 21):
            page.mouse.move(x + 6 * step, y + 3 * step)
            page.wait_for_timeout(16)
        page.mouse.up()
    page.wait_for_timeout(500)
    return {"drawn": drawn, "arrive": arrive, "move": page.evaluate("() => bench.long.splice(0)")}
