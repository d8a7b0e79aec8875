"""People: who may sign in, and as what. Each change is in the audit log before it is made, and acts at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from explorer.accounts import NAME_LENGTH, AccountError, LastAdminError, User, invented
from explorer.desk import Desk
from explorer.pages import Page
from explorer.parts import card, command, light, table
from explorer.rights import Action, Role
from explorer.words import moment, say, written

_KEPT_DAYS = 30  # of sessions, and so of when somebody signed in last
Answer = tuple[Any, str, Any]


def layout(desk: Desk, /, user: str = "", **_query: str) -> Any:
    """Return the users, and of the one asked for what can be changed."""
    return html.Div(
        [
            html.H1(say("people.title"), className="cg-title"),
            html.P(say("people.lead_in"), className="cg-lead"),
            dcc.Store(id="people-chosen", data=user),
            html.Div(id="people-note", className="pt-note", role="status"),
            html.Div(id="people-secret"),
            html.Div(_body(desk, user), id="people-body"),
        ],
        id="people", className="pt-page",
    )  # fmt: skip


PAGE = Page("/people", "people.title", Action.SEE_PEOPLE, layout, icon="people")


def register(desk: Desk) -> None:
    """Register what an administrator changes; each answer is the page anew, a sentence, and perhaps a password."""

    def changes(button: str, *fields: tuple[str, str]) -> Callable[[Callable[..., Answer]], None]:
        def register(function: Callable[..., Answer]) -> None:
            @desk.callback(
                Action.CHANGE_PEOPLE,
                Output("people-body", "children", allow_duplicate=True),
                Output("people-note", "children", allow_duplicate=True),
                Output("people-secret", "children", allow_duplicate=True),
                Input(button, "n_clicks"),
                State("people-chosen", "data"),
                *(State(*field) for field in fields),
                prevent_initial_call=True,
            )
            def answer(clicks: int | None, chosen: Any, *values: Any) -> Any:
                if not clicks:
                    raise PreventUpdate
                try:
                    return function(str(chosen or ""), *values)
                except LastAdminError:
                    return _body(desk, str(chosen or "")), say("people.last_admin"), None
                except AccountError:
                    return _body(desk, ""), say("people.no_user"), None

        return register

    @changes("people-save", ("people-roles", "value"))
    def save(name: str, roles: Any) -> Answer:
        wanted = _roles(roles)
        if not wanted:
            return _body(desk, name), say("people.no_role"), None
        found = _found(desk, name)
        desk.record(Action.CHANGE_PEOPLE, f"role {found.name}: {', '.join(wanted)}")
        desk.accounts.set_roles(found.name, wanted)
        return _body(desk, name), say("people.saved", name=found.name, roles=_named(wanted)), None

    @changes("people-lock")
    def lock(name: str) -> Answer:
        found = _found(desk, name)
        active, as_written = found.active, found.name
        desk.record(Action.CHANGE_PEOPLE, f"{'lock' if active else 'unlock'} {as_written}")
        desk.accounts.set_active(as_written, not active)
        return _body(desk, name), say("people.locked" if active else "people.unlocked", name=as_written), None

    @changes("people-password")
    def password(name: str) -> Answer:
        found = _found(desk, name)
        as_written, fresh = found.name, invented()
        desk.record(Action.CHANGE_PEOPLE, f"password {as_written}")
        desk.accounts.set_password(as_written, fresh)
        return _body(desk, name), say("people.password_given", name=as_written), _secret(as_written, fresh)

    @changes("people-add", ("people-name", "value"), ("people-new-roles", "value"))
    def add(chosen: str, typed: Any, roles: Any) -> Answer:
        name, wanted = str(typed or "").strip(), _roles(roles)
        if not name or len(name) > NAME_LENGTH or not name.isprintable():
            return no_update, say("people.no_name", count=NAME_LENGTH), None
        if not wanted:
            return no_update, say("people.no_role"), None
        if desk.accounts.find(name) is not None:
            return no_update, say("people.taken"), None
        fresh = invented()
        desk.record(Action.CHANGE_PEOPLE, f"add {name}: {', '.join(wanted)}")
        desk.accounts.add(name, wanted, fresh)
        return _body(desk, chosen), say("people.added", name=name, roles=_named(wanted)), _secret(name, fresh)


def _found(desk: Desk, name: str) -> User:
    user = desk.accounts.find(name)
    if user is None:
        raise AccountError("There is no user of that name.")
    return user


def _roles(given: Any) -> list[str]:
    """Return the roles among what a browser sent."""
    return sorted({role for role in given if role in set(Role)}) if isinstance(given, list) else []


def _named(roles: list[str]) -> str:
    return say("people.comma").join(say(f"roles.{role}") for role in roles)


def _body(desk: Desk, chosen: str) -> Any:
    """Return all users, and beside them what the reader may change."""
    users, seen = desk.accounts.all(), desk.accounts.last_seen()
    may = desk.may(Action.CHANGE_PEOPLE).allowed
    rows = [
        [
            dcc.Link(user.name, href=_link(user.name)) if may else user.name, _named(sorted(user.role_names)),
            light("green", say("people.active")) if user.active else light("red", say("people.is_locked")),
            _seen(user, seen.get(user.id), desk.now()), written(user.made_at.date()),
        ]
        for user in users
    ]  # fmt: skip
    mine = next((user for user in users if user.name.lower() == chosen.strip().lower()), None)
    head = [say(f"people.{name}") for name in ("name", "roles", "state", "seen", "since")]
    list_ = card(
        say("people.users"),
        table(head, rows, caption=say("people.users"), chosen=users.index(mine) if mine else None),
        more=html.Span(say("people.count", count=len(users)), className="pt-quiet"), id="people-users",
    )  # fmt: skip
    if not may:
        return list_
    right = (
        [_panel(mine)] if mine else [card(say("people.change"), html.P(say("people.choose"), className="pt-nothing"))]
    )
    return html.Div([list_, html.Div([*right, _new()], className="pt-column")], className="pt-grid")


def _link(name: str) -> str:
    from urllib.parse import quote

    return f"/people?user={quote(name)}"


def _seen(user: User, at: dt.datetime | None, now: dt.datetime) -> str:
    """Return when somebody signed in last, as far as sessions are kept."""
    if at is not None:
        return moment(at)
    new = now - user.made_at < dt.timedelta(days=_KEPT_DAYS)
    return say("people.never") if new else say("people.long_ago", count=_KEPT_DAYS)


def _panel(user: User) -> Any:
    lock = "people.lock" if user.active else "people.unlock"
    kind = "pt-button pt-danger" if user.active else "pt-button"
    return card(
        say("people.change_of", name=user.name),
        _checks("people-roles", sorted(user.role_names)),
        html.Div(
            [
                _button("people-save", say("people.save"), "pt-button pt-strong"),
                _button("people-password", say("people.new_password"), "pt-button"),
                _button("people-lock", say(lock), kind),
            ],
            className="pp-buttons",
        ),
        html.P(say("people.at_once"), className="pt-quiet"),
        id="people-panel",
    )


def _new() -> Any:
    return card(
        say("people.new"),
        dmc.TextInput(id="people-name", label=say("people.name"), size="sm", autoComplete="off"),
        _checks("people-new-roles", []),
        html.Div(_button("people-add", say("people.add"), "pt-button pt-strong"), className="pp-buttons"),
        html.P(say("people.invented"), className="pt-quiet"), id="people-new",
    )  # fmt: skip


def _button(id: str, said: str, kind: str) -> Any:
    return html.Button(said, id=id, type="button", className=kind)


def _checks(id: str, value: list[str]) -> Any:
    boxes = [dmc.Checkbox(label=say(f"roles.{role}"), value=str(role), size="sm") for role in Role]
    return dmc.CheckboxGroup(html.Div(boxes, className="pp-roles"), id=id, label=say("people.roles"), value=value)


def _secret(name: str, password: str) -> Any:
    """Return a password, shown with this answer and never again."""
    said = html.P(say("people.secret_told"), className="pt-quiet")
    return card(say("people.secret", name=name), command(password), said, id="people-shown")
