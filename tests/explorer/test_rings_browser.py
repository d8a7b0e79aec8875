"""An analyst's morning in a real browser: sign in, the list, the surest ring, its evidence, a verdict, taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from explorer.desk import Desk
from explorer.rings.picture import named_steps
from explorer.rings.verdicts import VERDICTS
from graph.reader import GraphReader
from graph.server import LocalServer
from tests.explorer.small_world import MEMBERS_OF_RING, RING, YOUNG_RING, SmallWorld

LIT = "window.ringsPicture.lit()"


@pytest.fixture(autouse=True)
def quiet(desk: Desk, graph: LocalServer) -> Iterator[None]:
    """Nobody has judged, and the server knows its statements: a new one plans for longer than a page waits."""
    with graph.driver() as driver:
        reader = GraphReader(driver, timeout_s=120)
        reader.every_ring()
        ring = reader.ring(RING)
        assert ring is not None
        reader.ring_links(RING, named_steps(ring))
    yield
    with desk.store.writing() as connection:
        connection.execute(VERDICTS.delete())


def ids(page: Any) -> list[str]:
    """The rings of the table from above."""
    page.wait_for_selector("#rings-table .ag-center-cols-container .ag-row")
    found: list[str] = page.eval_on_selector_all(
        "#rings-table .ag-center-cols-container .ag-row",
        "rows => rows.sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))"
        ".map(row => row.getAttribute('row-id'))",
    )
    return found


def counted(page: Any, sentence: str) -> None:
    """Wait until the list says so."""
    page.locator("#rings-count", has_text=sentence).wait_for()


def until(page: Any, holds: str) -> None:
    """Wait until an expression holds; Playwright's own way is an eval, which the page forbids."""
    for _ in range(100):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(50)
    raise AssertionError(holds)


def test_an_analysts_morning(browser_page: Callable[..., Any], world: SmallWorld) -> None:
    page = browser_page("analyst", "/rings")
    assert ids(page) == [RING, YOUNG_RING]
    assert page.inner_text("#rings-count") == "2 of 2 rings."
    page.click(f"#rings-table .ag-row[row-id='{RING}'] a")
    page.wait_for_selector("#rings-picture[data-drawn]")
    assert page.url.endswith(f"/rings/{RING}")
    assert page.get_attribute("#rings-picture", "data-drawn") == "9"

    page.hover("#rings-evidence-0")
    lit = page.evaluate(LIT)
    assert f"Device:{world.device}" in lit
    assert {f"USES_DEVICE Person:{id} Device:{world.device}" for id in MEMBERS_OF_RING} <= set(lit)
    page.mouse.move(5, 500)
    until(page, f"{LIT}.length === 0")
    page.focus("#rings-evidence-1")  # by keyboard it is the same
    assert page.evaluate(LIT) == [f"Device:{world.device}"]
    page.keyboard.press("Enter")
    assert page.get_attribute("#rings-evidence-1", "aria-pressed") == "true"
    page.focus("#rings-note")
    assert page.evaluate(LIT) == [f"Device:{world.device}"]  # it stays lit

    page.fill("#rings-note", "one handset, four applicants")
    page.click("#rings-judge-confirmed")
    page.wait_for_selector("#rings-stands >> text=confirmed, by analyst")
    assert page.input_value("#rings-note") == ""
    page.click(".rg-back")
    counted(page, "1 of 2 rings.")
    assert ids(page) == [YOUNG_RING]
    page.click("#rings-view >> text=With a verdict")
    page.wait_for_selector(f"#rings-table .ag-row[row-id='{RING}']")
    assert "confirmed" in page.inner_text(f"#rings-table .ag-row[row-id='{RING}']")

    page.click(f"#rings-table .ag-row[row-id='{RING}'] .ag-cell[col-id='typology']")  # anywhere in the row
    page.wait_for_selector("#rings-withdraw", state="visible")
    page.click("#rings-withdraw")
    page.wait_for_selector("#rings-stands >> text=No verdict yet.")
    page.go_back()
    page.click("#rings-view >> text=My queue")
    counted(page, "2 of 2 rings.")


def test_filters_count_exactly_and_are_cleared(browser_page: Callable[..., Any]) -> None:
    page = browser_page("analyst", "/rings")
    ids(page)
    page.fill("#rings-text", "identity")
    counted(page, "1 of 2 rings.")
    assert ids(page) == [YOUNG_RING]
    page.fill("#rings-text", "nothing like it")
    page.wait_for_selector("#rings-empty >> text=No ring is like that.")
    page.click("#rings-clear")
    counted(page, "2 of 2 rings.")


def test_a_file_says_its_rows_before_and_comes_with_a_purpose(browser_page: Callable[..., Any]) -> None:
    page = browser_page("analyst", "/rings")
    ids(page)
    page.expected_errors.append("422")
    page.click("#rings-export")
    page.wait_for_selector("text=2 rows will be written; the limit is 10,000.")
    page.click("#rings-export-go")
    page.wait_for_selector("#rings-export-why >> text=Say what the file is for")
    page.fill("#rings-purpose", "monthly report")
    with page.expect_download() as started:
        page.click("#rings-export-go")
    with open(started.value.path(), encoding="utf-8-sig") as file:
        assert [line.split(",")[0] for line in file] == ["Ring", RING, YOUNG_RING]


def test_a_ring_goes_on_to_the_canvas(browser_page: Callable[..., Any], world: SmallWorld) -> None:
    page = browser_page("analyst", f"/rings/{RING}")
    page.wait_for_selector("#rings-picture[data-drawn]")
    page.click("#rings-open")
    page.wait_for_url("**/canvas?scene=*")
    page.locator("#canvas-status", has_text="nodes 5, links 4").wait_for()


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_list_and_ring_are_without_serious_findings_of_axe(
    browser_page: Callable[..., Any], language: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser_page("analyst", "/rings", language=language, scheme=scheme)
    ids(page)
    found = [_serious(axe.run(page))]
    page.goto(f"/rings/{RING}")
    page.wait_for_selector("#rings-picture[data-drawn]")
    page.wait_for_selector("#rings-timeline .main-svg")
    found.append(_serious(axe.run(page)))
    assert found == [[], []]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def _serious(result: Any) -> list[str]:
    return [
        f"{rule['id']}: {[node['target'] for node in rule['nodes']][:4]}"
        for rule in result.response["violations"] if rule["impact"] in ("serious", "critical")
    ]  # fmt: skip
