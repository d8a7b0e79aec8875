"""The canvas as an analyst meets it: the real application on the real Neo4j in a real browser."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from explorer.canvas.warming import statements, warm
from explorer.graph_door import GraphDownError
from tests.explorer.conftest import desk_of
from tests.explorer.small_world import RING, SmallWorld

OpenPage = Callable[..., Any]


@pytest.fixture(autouse=True)
def planned(app: Flask) -> None:
    """A Neo4j that has its plans, as after the start of the explorer."""
    assert warm(desk_of(app).door) == len(statements())


def idle(page: Any) -> None:
    """Wait until no question is open."""
    page.wait_for_timeout(80)
    page.wait_for_selector("#canvas[aria-busy=false]")


def begin(page: Any, text: str) -> None:
    """Search and wait for the menu of what was found."""
    page.wait_for_selector("#canvas-tools button")
    page.fill("#shell-search", text)
    page.press("#shell-search", "Enter")
    page.wait_for_selector("#canvas-inspector .cv-counts button")
    idle(page)


def asked(page: Any, button: str, answer: str) -> int:
    """Click and wait for the answer; again where a busy machine let the question's time run out. Returns the clicks."""
    for clicks in (1, 2, 3):
        page.click(button)
        idle(page)
        try:
            page.wait_for_selector(answer, timeout=6_000)
            return clicks
        except PlaywrightTimeout:
            if clicks == 3:
                raise
    raise AssertionError("unreachable")


def status(page: Any) -> str:
    return str(page.inner_text("#canvas-status"))


def count(page: Any) -> list[int]:
    """How many nodes and edges the drawing has, and how many the canvas holds."""
    return list(page.evaluate(
        "() => [canvasView.live().nodes().length, canvasView.live().edges().length,"
        " canvasPage.peek().model.now.nodes.length]"
    ))  # fmt: skip


def test_an_analyst_searches_counts_expands_pages_hides_undoes_saves_and_opens_the_link_again(
    browser_page: OpenPage, world: SmallWorld
) -> None:
    page = browser_page("analyst", "/canvas")
    calls: list[str] = []
    begin(page, world.contact.plain[world.courier])
    page.on("request", lambda request: calls.append(request.post_data or ""))
    assert page.inner_text("#canvas-inspector .cv-counts b") == "31"
    assert count(page) == [1, 0, 1]

    page.click(".cv-filter summary")
    page.fill("[data-focus=f-limit]", "20")
    calls.clear()
    clicks = asked(page, ".cv-filter button[type=submit]", ".cv-page")
    expands = [call for call in calls if '"output":"canvas-answer-expand' in call and '"again":true' not in call]
    assert len(expands) == clicks  # one call an expand
    assert "20 of 31, newest first." in page.inner_text(".cv-page")
    assert "1 group holds 20 nodes." in status(page)
    asked(page, ".cv-next", "text=That is all.")
    assert "31 of 31, newest first." in page.inner_text(".cv-page")
    assert count(page) == [2, 1, 32]

    page.evaluate("() => { canvasView.select([canvasPage.peek().result.groups[0].key]); }")
    page.click("text=Open the group")
    page.wait_for_timeout(100)
    assert count(page) == [32, 31, 32]
    page.evaluate("() => { canvasView.select(['Person:per_S00', 'Person:per_S01']); }")
    page.focus("#canvas-graph")
    page.keyboard.press("Control+h")
    assert count(page) == [30, 29, 32]
    page.click("[data-focus='legend LISTS_CONTACT']")
    assert count(page)[1] == 0
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert count(page) == [32, 31, 32]
    page.keyboard.press("Control+y")
    assert count(page) == [30, 29, 32]

    page.click("[data-focus=save]")
    page.fill("#canvas-scene-name", "The courier")
    page.click("#canvas-save-now")
    page.wait_for_selector("text=Saved as version 1.")
    link = page.url
    assert "/canvas?scene=" in link

    again = browser_page("analyst")
    again.goto(link)
    again.wait_for_selector("text=The courier, version 1")
    assert count(again) == [30, 29, 32]
    assert not again.evaluate("() => canvasPage.peek().model.past.length")
    again.click("text=Show 2 hidden")
    assert count(again) == [32, 31, 32]
    again.click("[data-focus=make_case]")
    again.wait_for_url("**/cases/new?scene=*")
    again.wait_for_selector("text=The courier")


def test_two_tabs_saving_the_same_scene_are_both_kept(browser_page: OpenPage) -> None:
    one = browser_page("analyst", "/canvas")
    begin(one, RING)
    one.click("[data-focus=save]")
    one.click("#canvas-save-now")
    one.wait_for_selector("text=Saved as version 1.")
    two = browser_page("analyst")
    two.goto(one.url)
    two.wait_for_selector("text=version 1 of")
    for page, said in ((one, "Saved as version 2."), (two, "nothing was overwritten")):
        page.click("[data-focus=save]")
        page.click("#canvas-save-now")
        page.wait_for_selector(f"text={said}")
    assert one.url != two.url


def test_keys_do_what_the_help_says(browser_page: OpenPage) -> None:
    page = browser_page("analyst", "/canvas")
    begin(page, RING)
    page.focus("#canvas-graph")
    page.keyboard.press("Control+e")
    page.wait_for_selector("text=4 of 4, newest first.")
    page.keyboard.press("Control+a")
    assert page.evaluate("() => canvasView.selected().length") == 5
    page.evaluate("() => { canvasView.select(['Person:per_A1']); }")
    page.keyboard.press("Control+Shift+h")
    assert count(page)[0] == 1
    page.keyboard.press("Control+z")
    assert count(page)[0] == 5
    page.keyboard.press("Control+i")
    assert page.evaluate("() => document.activeElement.closest('#canvas-inspector') !== null")
    page.keyboard.press("Control+f")
    page.focus("#canvas-graph")
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.id") == "shell-search"


def test_paths_and_common_neighbors_light_up_and_roles_show(browser_page: OpenPage) -> None:
    page = browser_page("analyst", "/canvas")
    begin(page, RING)
    asked(page, "[data-focus=expand]", "text=4 of 4, newest first.")
    assert page.evaluate("() => canvasView.live().nodes('.core').map((node) => node.id()).sort()") == [
        "Person:per_A1", "Person:per_A2",
    ]  # fmt: skip
    page.evaluate("() => { canvasView.select(['Person:per_A1', 'Person:per_A4']); }")
    asked(page, "text=Shortest paths", "text=1 shortest path, hops: 2.")
    assert page.evaluate("() => canvasView.live().edges('.path').length") == 2
    asked(page, "text=Common neighbors", "text=2 neighbors in common")


def test_the_table_holds_the_same_rows_and_csv_tells_them_before(browser_page: OpenPage, tmp_path: Path) -> None:
    page = browser_page("analyst", "/canvas")
    begin(page, RING)
    asked(page, "[data-focus=expand]", "text=4 of 4, newest first.")
    page.click("[data-focus=table]")
    page.wait_for_selector("#canvas-links .ag-row")
    assert page.locator("#canvas-links .ag-center-cols-container .ag-row").count() == 4
    assert page.locator("#canvas-nodes .ag-center-cols-container .ag-row").count() == 5
    page.click("#canvas-nodes .ag-row >> nth=1")
    assert page.evaluate("() => canvasView.selected().length") == 1
    page.click("[data-focus=csv]")
    assert "4 rows will be written; the limit is 10,000." in page.inner_text("dialog")
    page.fill("#canvas-purpose", "a report")
    with page.expect_download() as got:
        page.click("#canvas-export-now")
    file = tmp_path / "links.csv"
    got.value.save_as(file)
    assert len(file.read_text("utf-8-sig").splitlines()) == 5
    page.click("[data-focus=table]")
    page.click("[data-focus=png]")
    page.fill("#canvas-purpose", "a report")
    with page.expect_download() as got:
        page.click("#canvas-export-now")
    got.value.save_as(tmp_path / "canvas.png")
    assert (tmp_path / "canvas.png").read_bytes().startswith(b"\x89PNG")


def test_a_search_from_another_page_leads_here_and_a_suggestion_can_be_taken_by_keys(browser_page: OpenPage) -> None:
    page = browser_page("analyst", "/canvas")
    page.wait_for_selector("#canvas-tools button")
    page.fill("#shell-search", "")
    page.type("#shell-search", "ring_5f")
    page.wait_for_selector("#canvas-found [role=option]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#canvas-inspector .cv-counts button")
    assert page.evaluate("() => canvasView.selected()") == [f"Ring:{RING}"]


def test_what_the_graph_says_is_text_and_never_markup(browser_page: OpenPage) -> None:
    page = browser_page("analyst", "/canvas")
    begin(page, RING)
    page.evaluate("""() => {
      const bad = "<img src=x onerror='window.hit = 1'>";
      canvasModel.add(canvasPage.peek().model, {nodes: [{key: "Person:bad", label: "Person", id: bad, text: bad,
        hub: bad, hub_why: bad}]});
      canvasPage.draw({select: ["Person:bad"]});
    }""")
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.hit") is None
    assert "<img" in page.inner_text("#canvas-inspector")


def longest_task(trace: bytes) -> float:
    """The longest task of the page's own thread, in milliseconds of processor time.

    Not of the clock: how many others want the machine at the moment is not the page's doing.
    """
    events = json.loads(trace)["traceEvents"]
    threads = {e["tid"] for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"}
    return max(e.get("tdur", 0) / 1000 for e in events if e["name"] == "RunTask" and e["tid"] in threads)


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_three_hundred_elements_never_hold_the_page_for_a_fifth_of_a_second(
    browser_page: OpenPage, chromium: Any, language: str, scheme: str
) -> None:
    rng = random.Random(5)
    nodes = [
        {"key": f"Person:p{n}", "label": rng.choice(["Person", "Phone", "Device"]), "id": f"p{n}", "text": f"per_{n}"}
        for n in range(130)
    ]
    pairs = {(n, rng.randrange(n)) for n in range(1, 130)} | {
        (rng.randrange(130), rng.randrange(130)) for _ in range(50)
    }
    edges = [
        {"key": f"e{a}-{b}", "type": "CALLED", "source": f"Person:p{a}", "target": f"Person:p{b}",
         "first": 1_780_000_000 + 86_400 * a, "last": 1_780_000_000 + 86_400 * a, "count": 3, "facts": []}
        for a, b in sorted(pairs)
    ][:170]  # fmt: skip
    # Caches and clock rates that others leave behind cost processor time too: the best of three counts.
    longest = []
    while len(longest) < 3 and not any(one <= 200 for one in longest):
        page = browser_page("analyst", "/canvas", language=language, scheme=scheme)
        longest.append(longest_of(page, chromium, nodes, edges))
        page.close()
    assert min(longest) <= 200, longest


def longest_of(page: Any, chromium: Any, nodes: list[Any], edges: list[Any]) -> float:
    """Draw, zoom, pan, arrange, select, hide and undo, and return the longest task of the page."""
    page.wait_for_selector("#canvas-tools button")
    page.wait_for_timeout(500)
    chromium.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"])
    # Later, in a task of the page's own: what a debugger evaluates is no such task.
    page.evaluate(
        """(facts) => { setTimeout(() => {
          canvasModel.add(canvasPage.peek().model, facts); canvasPage.draw(); window.drawn = true; }, 0); }""",
        {"nodes": nodes, "edges": edges},
    )
    page.wait_for_timeout(1500)
    assert page.evaluate("() => window.drawn")
    assert sum(count(page)[:2]) > 280
    box = page.query_selector("#canvas-graph").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for turn in (120, -120, 120, -120):
        page.mouse.wheel(0, turn)
        page.wait_for_timeout(40)
    page.mouse.move(box["x"] + 12, box["y"] + 12)
    page.mouse.down()
    for number in range(20):
        page.mouse.move(box["x"] + 12 + 8 * number, box["y"] + 12 + 4 * number)
    page.mouse.up()
    page.click("[data-focus=arrange]")
    page.wait_for_timeout(300)
    page.evaluate("() => { canvasView.select(['Person:p3']); }")
    page.keyboard.press("Control+h")
    page.wait_for_timeout(200)
    page.keyboard.press("Control+z")
    page.wait_for_timeout(300)
    return longest_task(chromium.stop_tracing())


def test_what_was_asked_while_neo4j_was_away_is_asked_again_and_the_canvas_stays(
    browser_page: OpenPage, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser_page("analyst", "/canvas")
    begin(page, RING)
    door = desk_of(app).door
    with monkeypatch.context() as away:

        def down(*_query: Any, **_options: Any) -> Any:
            raise GraphDownError("Neo4j does not answer.")

        away.setattr(door, "execute_query", down)
        page.click("[data-focus=expand]")
        page.wait_for_selector(".cg-trouble")
        assert count(page)[2] == 1
    page.wait_for_selector("text=4 of 4, newest first.", timeout=20_000)
    assert count(page) == [5, 4, 5]
    assert page.locator(".cg-trouble").count() == 0
