"""What surrounds every page: navigation by rights, search, language, light and dark, who is signed in, where errors go.

Ids that others use: `shell-search` (the text of the search box), `shell-url` (where the reader is), `shell-recovered`
(a number that grows when Neo4j answers again: an input for callbacks that should then run anew).
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qsl

import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update
from flask import g

from explorer.desk import Desk, named_ids
from explorer.pages import Page, find
from explorer.rights import Action, ForbiddenError, rights
from explorer.trouble import Trouble, trouble
from explorer.words import LANGUAGES, language, say

_LOG = logging.getLogger("explorer")
THEMES = ("auto", "light", "dark")
KEYS = (
    ("/", "shell.key_search"), ("?", "shell.key_help"), ("Ctrl E", "shell.key_expand"), ("Ctrl H", "shell.key_dismiss"),
    ("Ctrl Shift H", "shell.key_dismiss_others"), ("Ctrl F", "shell.key_fit"), ("Ctrl I", "shell.key_inspect"),
    ("Ctrl A", "shell.key_all"), ("Ctrl Z / Y", "shell.key_undo"),
)  # fmt: skip
NAVBAR = {"width": 168, "breakpoint": "md", "collapsed": {"mobile": True}}
_THEME = {
    "primaryColor": "indigo",
    "defaultRadius": "sm",
    "fontFamily": "var(--cg-font)",
    "headings": {"fontFamily": "var(--cg-font)", "fontWeight": "600"},
    "fontSizes": {"xs": "0.75rem", "sm": "0.8125rem", "md": "0.875rem", "lg": "1rem", "xl": "1.125rem"},
    "cursorType": "pointer",
    "autoContrast": True,
}


def icon(name: str, size: int = 16) -> html.Span:
    """Return an icon of `assets/icons`; it is drawn in the color of the text and read by nobody."""
    return html.Span(
        className="cg-icon", style={"--cg-icon": f"url(/assets/icons/{name}.svg)", "--cg-size": f"{size}px"}
    )


def frame(desk: Desk) -> Any:
    """Return the whole screen around a page, for who asks."""
    theme = desk.user.theme
    scheme = {"forceColorScheme": theme} if theme in ("light", "dark") else {}
    return dmc.MantineProvider(
        [
            html.A(say("shell.skip"), href="#shell-content", className="cg-skip"),
            dcc.Location(id="shell-url", refresh="callback-nav"),
            dcc.Store(id="shell-spoken"),
            dcc.Store(id="shell-recovered", data=0),
            dmc.AppShell(
                [
                    dmc.AppShellHeader(_header(desk), px="sm"),
                    dmc.AppShellNavbar(_navigation(desk), p=6, **{"aria-label": say("shell.pages")}),
                    dmc.AppShellMain(
                        [
                            html.Div(id="shell-trouble", role="alert"),
                            html.Div(id="shell-content", tabIndex=-1, className="cg-content"),
                        ],
                    ),
                ],
                id="shell-frame", header={"height": 48}, navbar=NAVBAR, padding="md", transitionDuration=0,
            ),
            _help(),
        ],
        id="shell-theme", theme=_THEME, defaultColorScheme="auto", **scheme,
    )  # fmt: skip


def bar(found: Trouble) -> Any:
    """Return the strip that tells of a failure; while it may pass by itself, it looks every two seconds."""
    waiting = [dcc.Interval(id="shell-again", interval=2000)] if found.passes and found.of_graph else []
    note = [dmc.Text(say("shell.again"), size="sm")] if waiting else []
    return dmc.Alert(
        [dmc.Text(found.sentence, size="sm"), *note, *waiting], title=say("shell.trouble"), color="red",
        variant="light", withCloseButton=True, mb="sm", className="cg-trouble",
    )  # fmt: skip


def nothing(sentence: str, next_step: str = "") -> Any:
    """Return what stands where there is nothing to show: why, and what to do."""
    step = [dmc.Text(next_step, size="sm", c="dimmed")] if next_step else []
    return dmc.Center(
        dmc.Stack([dmc.Text(sentence, fw=600), *step], align="center", gap=4), mih=220, className="cg-empty"
    )


def register(desk: Desk) -> None:
    """Register what the shell itself answers."""

    @desk.callback(
        Action.USE,
        Output("shell-content", "children"),
        Output("shell-trouble", "children", allow_duplicate=True),
        Input("shell-url", "pathname"),
        Input("shell-url", "search"),
        Input("shell-recovered", "data"),
        prevent_initial_call="initial_duplicate",
    )
    def show(path: str | None, search: str | None, _recovered: int) -> tuple[Any, Any]:
        return page_body(desk, path or "/", search or ""), None

    @desk.callback(
        Action.USE,
        Output("shell-recovered", "data"),
        Output("shell-trouble", "children", allow_duplicate=True),
        Input("shell-again", "n_intervals"),
        State("shell-recovered", "data"),
        prevent_initial_call=True,
    )
    def again(_ticks: int | None, recovered: int) -> tuple[Any, Any]:
        if not _ticks:
            return no_update, no_update
        try:
            desk.door.ping()
        except Exception as error:
            if trouble(error) is None:
                raise
            return no_update, no_update
        return recovered + 1, None

    @desk.callback(
        Action.USE,
        Output("shell-spoken", "data"),
        Input("shell-language", "value"),
        prevent_initial_call=True,
    )
    def choose_language(chosen: str) -> Any:
        if chosen not in LANGUAGES or chosen == language():
            return no_update
        desk.accounts.choose(desk.user.name, language=chosen)
        return chosen

    @desk.callback(
        Action.USE,
        Output("shell-theme", "forceColorScheme"),
        Input("shell-scheme", "value"),
        prevent_initial_call=True,
    )
    def choose_theme(chosen: str) -> Any:
        if chosen not in THEMES:
            return no_update
        desk.accounts.choose(desk.user.name, theme=chosen)
        return None if chosen == "auto" else chosen

    desk.clientside(
        ClientsideFunction("shell", "open_help"),
        Output("shell-help", "opened"),
        Input("shell-help-button", "n_clicks"),
        prevent_initial_call=True,
    )
    desk.clientside(
        ClientsideFunction("shell", "fold"),
        Output("shell-frame", "navbar"),
        Input("shell-burger", "opened"),
        State("shell-frame", "navbar"),
        prevent_initial_call=True,
    )
    desk.clientside(ClientsideFunction("shell", "reload"), Input("shell-spoken", "data"), prevent_initial_call=True)
    desk.clientside(ClientsideFunction("shell", "arrive"), Input("shell-url", "pathname"))


def page_body(desk: Desk, path: str, search: str) -> Any:
    """Return a page's layout, or the sentence why it is not shown.

    Raises:
        ForbiddenError: the page is not the user's.
    """
    page, said = find(desk.pages, path) or (None, {})
    if page is None:
        return nothing(say("errors.not_found"), say("shell.choose")) if path != "/" else nothing(say("shell.no_page"))
    query = dict(parse_qsl(search.removeprefix("?"), max_num_fields=20)) | said
    desk.require(page.action)
    if page.action in rights().persons:
        desk.record(page.action, f"{page.path} {named_ids(query)}".strip())
    try:
        return page.layout(desk, **query)
    except ForbiddenError:
        raise
    except Exception as error:
        found = trouble(error)
        if found is None:
            raise
        _LOG.warning("page %s: %s", page.path, type(error).__name__)
        return bar(found)


def _header(desk: Desk) -> Any:
    brand = [icon("graph", 20), html.Span(say("shell.product"))]
    search = dmc.TextInput(
        id="shell-search", placeholder=say("shell.search"), leftSection=icon("search"), size="sm",
        rightSection=html.Kbd("/"), debounce=False, autoComplete="off", **{"aria-label": say("shell.search")},
    )  # fmt: skip
    searching = desk.may(Action.SEE_CANVAS).allowed
    return dmc.Group(
        [
            dmc.Burger(id="shell-burger", hiddenFrom="md", size="sm", **{"aria-label": say("shell.pages")}),
            dcc.Link(brand, href="/", className="cg-brand", refresh=True),
            html.Div(search, role="search", className="cg-search") if searching else html.Div(className="cg-search"),
            dmc.Group([_languages(), _help_button(), _menu(desk)], gap=8, wrap="nowrap"),
        ],
        h="100%", gap=12, justify="space-between", wrap="nowrap",
    )  # fmt: skip


def _languages() -> Any:
    return dmc.SegmentedControl(
        id="shell-language", value=language(), size="xs", **{"aria-label": say("shell.language")},
        data=[{"value": "zh", "label": "中文"}, {"value": "en", "label": "EN"}],
    )  # fmt: skip


def _help_button() -> Any:
    named = {"aria-label": say("shell.help")}
    return dmc.ActionIcon(icon("help"), id="shell-help-button", variant="subtle", color="gray", **named)


def _menu(desk: Desk) -> Any:
    roles = ", ".join(say(f"roles.{role}") for role in sorted(desk.user.role_names))
    themes = [{"value": theme, "label": say(f"shell.theme_{theme}")} for theme in THEMES]
    scheme = dmc.SegmentedControl(
        id="shell-scheme", value=desk.user.theme or "auto", data=themes, size="xs", fullWidth=True,
        **{"aria-label": say("shell.theme")},
    )  # fmt: skip
    inside = [
        html.Div([html.Strong(desk.user.name), html.Span(roles)], className="cg-who"),
        html.Div([html.Span(say("shell.theme")), scheme], className="cg-choice"),
        html.A(say("shell.password"), href="/password", className="cg-item"),
        html.Button(say("shell.sign_out"), id="shell-sign-out", className="cg-item", type="button"),
    ]
    opened = html.Summary([icon("user"), html.Span(desk.user.name)], id="shell-user")
    return html.Details([opened, html.Div(inside, className="cg-menu")], id="shell-menu", className="cg-user")


def _navigation(desk: Desk) -> list[Any]:
    return [_link(page) for page in desk.pages if desk.may(page.action).allowed]


def _link(page: Page) -> Any:
    named = [icon(page.icon), html.Span(say(page.word))]
    return dcc.Link(named, href=page.path, className="cg-nav", id=f"shell-to-{page.path[1:]}")


def _help() -> Any:
    rows = [html.Tr([html.Td(html.Kbd(key)), html.Td(say(word))]) for key, word in KEYS]
    return dmc.Modal(
        html.Table(html.Tbody(rows), className="cg-keys"), id="shell-help", title=say("shell.help"), size="sm",
        closeButtonProps={"aria-label": say("shell.close")},
    )  # fmt: skip


def start_of_html() -> str:
    """Return the opening tag of the document: its language, and light or dark before the first paint."""
    chosen = g.get("theme")
    scheme = f' data-mantine-color-scheme="{chosen}"' if chosen in ("light", "dark") else ""
    return f'<html lang="{"zh-CN" if language() == "zh" else "en"}"{scheme}>'
