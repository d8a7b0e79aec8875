"""A collector's main job in a real browser: sign in, the next lead, its number for a purpose, the outcome, the next."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.algorithms.contact_world import World
from tests.explorer.conftest import serving
from tests.explorer.lead_world import explorer_over, seed, write_leads

PICTURES = os.environ.get("EXPLORER_PICTURES")  # a folder: the screens are kept there, for the pages of docs
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_leads(tmp_path_factory.mktemp("leads"))


@pytest.fixture
def leads_app(lost: World, tmp_path: Path) -> Flask:
    seed(lost, tmp_path / "store.db")
    return explorer_over(lost, tmp_path)


@pytest.fixture
def graph() -> None:
    """Leads need no Neo4j; this stands in for the fixture that would start one."""


@pytest.fixture
def served(leads_app: Flask) -> Iterator[str]:
    """The address at which the explorer of the test is served."""
    with serving(leads_app) as address:
        yield address


def picture(page: Any, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png")


def test_a_collector_works_two_leads_in_three_clicks_each(browser_page: Open, lost: World) -> None:
    page = browser_page("collector", "/leads")
    page.wait_for_selector(".ld-masked")
    picture(page, "explorer-leads")
    first = page.inner_text(".ld-masked")
    page.click(".ld-chip >> text=Ask to be called back")
    page.click("#leads-open")
    page.wait_for_selector("#leads-number")
    assert page.inner_text("#leads-number").replace(" ", "") == lost.plain[lost.tel("wei's lead")]
    assert "魏小明" in page.inner_text(".ld-ask")
    picture(page, "explorer-leads-open")
    page.click(".ld-outcome-no_answer")
    page.wait_for_selector(".ld-masked")
    assert page.inner_text("#leads-note") == "Noted: no answer. The lead comes back when it is lawful."
    assert page.inner_text(".ld-masked") != first
    assert page.locator("#leads-number").count() == 0
    page.click(".ld-chip >> text=Check a new number")
    page.click("#leads-open")
    page.wait_for_selector("#leads-number")
    page.click(".ld-outcome-right_person")
    page.wait_for_selector("text=Noted: reached.")


def test_a_collector_works_wholly_by_keyboard(browser_page: Open, lost: World) -> None:
    page = browser_page("collector", "/leads")
    page.wait_for_selector(".ld-masked")
    page.keyboard.press("p")
    page.keyboard.type("case 17: call back")
    page.keyboard.press("Enter")
    page.wait_for_selector("#leads-number")
    page.wait_for_function("document.activeElement.id === 'leads-number'")
    page.keyboard.press("3")
    page.wait_for_selector("text=Noted: no answer.")
    # On to a third person in the list: nothing of a debt stands there.
    first = page.inner_text(".ld-masked")
    for _ in range(4):
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_function("first => document.querySelector('.ld-masked').textContent !== first", arg=first)
    assert page.inner_text(".ld-to") == "Named by the person for emergencies"
    page.keyboard.press("p")
    page.keyboard.type("case 18")
    page.keyboard.press("Enter")
    page.wait_for_selector("#leads-number")
    text = page.inner_text("#leads-body")
    assert not re.search("loan|overdue|¥|CNY|score", text, re.IGNORECASE)
    page.keyboard.press("4")
    page.wait_for_selector("text=Noted: refused.")


def test_a_page_left_and_loaded_again_asks_how_the_call_ended(browser_page: Open, lost: World) -> None:
    page = browser_page("collector", "/leads", language="zh", scheme="dark")
    page.wait_for_selector(".ld-masked")
    picture(page, "leads-zh-dark")
    page.fill("#leads-purpose", "案件17")
    page.click("#leads-open")
    page.wait_for_selector("#leads-number")
    picture(page, "leads-zh-dark-open")
    page.reload()
    page.wait_for_selector(".ld-untold")
    assert "您于 12:00 打开了此通话，请先登记结果。" in page.inner_text(".ld-untold")
    assert lost.plain[lost.tel("wei's lead")] not in page.content()
    picture(page, "leads-zh-untold")
    page.click(".ld-outcome-third_person")
    page.wait_for_selector("text=已登记：他人接听，线索关闭。")


def test_the_screen_of_leads_has_no_serious_finding_of_axe(browser_page: Open) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for scheme in ("light", "dark"):
        page = browser_page("collector", "/leads", scheme=scheme)
        page.wait_for_selector(".ld-masked")
        found = axe.Axe().run(page, context="#shell-content")
        assert not [
            (violation["id"], [node["html"] for node in violation["nodes"]])
            for violation in found.response["violations"]
            if violation["impact"] in ("serious", "critical")
        ]
        page.click("details:has(#leads-bar) > summary")
        page.click("#leads-bar")
        page.wait_for_selector("text=The number is on the do-not-contact list.")
