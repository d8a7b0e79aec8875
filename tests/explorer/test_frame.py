"""The frame as a person meets it: signing in, keys, language, light and dark, what happens when the session ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from explorer.desk import Desk
from explorer.words import catalog

Open = Callable[..., Any]


@pytest.fixture
def plain(desk: Desk) -> Iterator[None]:
    """Users without a choice of language or theme, before and after."""

    def forget() -> None:
        with desk.store.writing() as connection:
            connection.exec_driver_sql("UPDATE explorer_users SET language = NULL, theme = NULL")

    forget()
    yield
    forget()


def serious(page: Any) -> list[str]:
    """What axe-core finds that keeps somebody out, by rule and place."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [
        f"{item['id']}: {node['html'][:160]}"
        for item in found
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"]
    ]


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_frame_keeps_nobody_out(browser_page: Open, scheme: str, language: str) -> None:
    page = browser_page("operator", scheme=scheme, language=language)
    page.wait_for_selector("#shell-user")
    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert page.evaluate("document.documentElement.dataset.mantineColorScheme") == scheme
    assert serious(page) == []
    page.click("#shell-user")
    page.wait_for_selector("#shell-sign-out", state="visible")
    assert serious(page) == []


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sign_in_page_keeps_nobody_out(chromium: Any, served: str, scheme: str) -> None:
    context = chromium.new_context(base_url=served, color_scheme=scheme, locale="zh-CN")
    page = context.new_page()
    page.goto("/login")
    assert catalog("zh", "shell")["sign_in"] in page.inner_text("button")
    assert serious(page) == []
    page.click("text=English")
    assert page.inner_text("button") == "Sign in"
    page.fill("#name", "nobody at all")
    page.fill("#password", "wrong wrong wrong")
    page.click("button")
    assert "not right" in page.inner_text("[role=alert]")
    assert serious(page) == []
    context.close()


@pytest.mark.usefixtures("plain")
def test_language_and_theme_are_kept_for_the_next_time(browser_page: Open) -> None:
    page = browser_page("operator")
    page.locator("#shell-language label").first.click()
    page.wait_for_selector("html[lang=zh-CN]", state="attached")
    page.click("#shell-user")
    page.locator("#shell-scheme label").nth(2).click()
    page.wait_for_selector("html[data-mantine-color-scheme=dark]", state="attached")
    page.wait_for_load_state("networkidle")
    again = browser_page("operator")
    again.wait_for_selector("#shell-user")
    assert again.evaluate("document.documentElement.lang") == "zh-CN"
    assert again.evaluate("document.documentElement.dataset.mantineColorScheme") == "dark"


@pytest.mark.usefixtures("plain")
def test_keys_lead_to_the_list_of_keys_the_search_and_the_content(browser_page: Open) -> None:
    page = browser_page("analyst")
    page.wait_for_selector("#shell-user")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "cg-skip"
    page.keyboard.press("?")
    page.wait_for_selector(".cg-keys", state="visible")
    assert "Undo, redo" in page.inner_text(".cg-keys")
    page.keyboard.press("Escape")
    page.wait_for_selector(".cg-keys", state="hidden")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "shell-search"
    page.keyboard.type("?/")
    assert page.input_value("#shell-search") == "?/"


@pytest.mark.usefixtures("plain")
def test_signing_out_ends_it_and_an_ended_session_leads_back_to_where_one_was(browser_page: Open, desk: Desk) -> None:
    page = browser_page("operator")
    page.click("#shell-user")
    page.click("#shell-sign-out")
    page.wait_for_url("**/login")
    page.go_back()
    page.wait_for_url(re.compile(r"/login\?next="))

    other = browser_page("operator")
    other.expected_errors.append("401")
    other.wait_for_selector("#shell-user")
    with desk.store.writing() as connection:
        connection.exec_driver_sql("UPDATE explorer_sessions SET ended_at = seen_at")
    other.click("#shell-user")
    other.locator("#shell-scheme label").nth(1).click()
    other.wait_for_url(re.compile(r"/login\?next="))


@pytest.mark.usefixtures("plain")
def test_the_password_is_changed_by_who_has_it(browser_page: Open) -> None:
    page = browser_page("operator", "/")
    page.goto("/password")
    for field in ("password", "new_password", "again"):
        page.fill(f"#{field}", "wrong wrong wrong")
    page.expected_errors.append("422")
    page.click("button[type=submit]")
    assert "not changed" in page.inner_text("[role=alert]")
    assert serious(page) == []


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("role", ["analyst", "collector", "operator", "model_developer", "compliance", "admin"])
def test_each_role_comes_to_a_page_of_its_own_without_an_error(browser_page: Open, desk: Desk, role: str) -> None:
    page = browser_page(role)
    page.wait_for_selector("#shell-user")
    links = page.locator(".cg-nav").all()
    for path in [link.get_attribute("href") for link in links]:
        page.click(f".cg-nav[href='{path}']")
        page.wait_for_selector(f".cg-nav[href='{path}'][aria-current=page]")
        page.wait_for_selector("#shell-content > *")
        page.wait_for_load_state("networkidle")
        assert page.inner_text("#shell-trouble") == ""
