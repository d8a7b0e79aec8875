"""An analyst's case in a real browser: from a ring to a case, a note, a status, a verdict, the list and the report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from explorer.cases.book import Cases, Status
from explorer.rings.verdicts import Verdicts
from graph.server import LocalServer
from tests.explorer.conftest import desk_of, serving
from tests.explorer.small_world import RING

PICTURES = os.environ.get("EXPLORER_PICTURES")  # a folder: the screens are kept there, for the pages of docs
Open = Callable[..., Any]


@pytest.fixture
def cases_app(new_app: Callable[..., Flask], graph: LocalServer, tmp_path: Path) -> Flask:
    return new_app(tmp_path, graph.uri, graph.password(), graph_seconds=20, answer_seconds=25)


@pytest.fixture
def served(cases_app: Flask) -> Iterator[str]:
    """The address at which the explorer of the test is served."""
    with serving(cases_app) as address:
        yield address


def picture(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png")


def test_an_analyst_brings_a_ring_to_a_verdict(browser_page: Open, cases_app: Flask) -> None:
    page = browser_page("analyst", f"/cases/new?ring={RING}")
    page.fill("#cases-new-title", "The handset of June")
    page.fill("#cases-new-note", "Four applicants, one handset, two days. Ask the channel.")
    picture(page, "case-new")
    page.click("#cases-make")
    page.wait_for_selector("#cases-notes .cs-note")
    case = Cases(desk_of(cases_app).store).all()[0]
    assert page.url.endswith(f"/cases/{case.case_id}")
    page.fill("#cases-note", "The channel says that the dealer lent the handset.")
    page.click("#cases-note-add")
    page.wait_for_selector("#cases-note-told >> text=The note is kept.")
    assert page.locator("#cases-notes .cs-note").count() == 2
    page.click("#cases-status >> text=in review")
    page.click("#cases-save")
    page.wait_for_selector("#cases-told >> text=Saved.")
    page.click("#cases-judge-confirmed")
    page.wait_for_selector("#cases-stands >> text=confirmed, by analyst")
    assert Verdicts(desk_of(cases_app).store).standing()[RING].by == "analyst"
    assert Cases(desk_of(cases_app).store).all()[0].status == Status.IN_REVIEW
    picture(page, "explorer-case")
    page.click("text=All cases")
    page.wait_for_selector("#cases-table .ag-row")
    picture(page, "cases-list")
    page.click("#cases-export")
    page.wait_for_selector("text=1 row will be written; the limit is 10,000.")
    page.fill("#cases-purpose", "weekly talk")
    with page.expect_download() as download:
        page.click("#cases-export-go")
    assert "The handset of June" in Path(download.value.path()).read_text(encoding="utf-8-sig")
    page.click("#cases-export")
    page.click("#cases-table .ag-row >> text=The handset of June")
    page.wait_for_selector("#cases-notes")
    with page.expect_popup() as popup:
        page.click("text=Report to print")
    report = popup.value
    report.wait_for_selector("text=Printed by analyst")
    if PICTURES:
        report.screenshot(path=f"{PICTURES}/case-report.png")
        report.pdf(path=f"{PICTURES}/case-report.pdf")


def test_two_tabs_meet_and_the_second_keeps_what_was_typed(browser_page: Open, cases_app: Flask) -> None:
    first = browser_page("analyst", f"/cases/new?ring={RING}", language="zh", scheme="dark")
    first.click("#cases-make")
    first.wait_for_selector("#cases-notes")
    second = first.context.new_page()
    second.goto(first.url)
    second.wait_for_selector("#cases-notes")
    first.click("#cases-status >> text=审核中")
    first.click("#cases-save")
    first.wait_for_selector("#cases-told >> text=已保存。")
    picture(first, "case-zh-dark")
    second.fill("#cases-title", "另一个标题")
    second.fill("#cases-note", "还没有保存的备注")
    second.click("#cases-save")
    second.wait_for_selector("#cases-told >> text=您的修改尚未保存")
    assert second.input_value("#cases-title") == "另一个标题"
    assert second.input_value("#cases-note") == "还没有保存的备注"
    second.click("#cases-save")
    second.wait_for_selector("#cases-told >> text=已保存。")
    assert Cases(desk_of(cases_app).store).all()[0].title == "另一个标题"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_list_form_and_page_of_a_case_have_no_serious_finding_of_axe(browser_page: Open, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser_page("analyst", f"/cases/new?ring={RING}", scheme=scheme)

    def serious() -> list[Any]:
        found = axe.run(page, context="#shell-content").response["violations"]
        return [(v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")]

    page.wait_for_selector("#cases-make")
    assert serious() == []
    page.click("#cases-make")
    page.wait_for_selector("#cases-notes")
    assert serious() == []
    page.click("a.cs-back")
    page.wait_for_selector("#cases-table .ag-row")
    assert serious() == []
