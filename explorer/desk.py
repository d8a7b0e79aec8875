"""What a page is given, and the only way to answer a browser: authorize, write the audit line, answer."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from dash import Dash, no_update, set_props
from dash.exceptions import PreventUpdate
from flask import Flask, Response, abort, g, jsonify, make_response
from flask_security import current_user

from explorer.rights import Action, Decision, ForbiddenError, Owned, authorize, rights
from explorer.trouble import trouble
from explorer.words import say
from graph.audit import AuditLog
from graph.lake import Lake
from graph.tokens import Keys
from graph.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

    from explorer.accounts import Accounts, User
    from explorer.graph_door import GraphDoor
    from explorer.pages import Page
    from explorer.settings import ExplorerSettings
    from explorer.store import ExplorerStore
    from graph.reader import GraphReader

_LOG = logging.getLogger("explorer")
_SAFE_ID = re.compile(r"[A-Za-z]{2,12}_[A-Za-z0-9_-]{1,64}|[A-Z][A-Za-z]{1,12}")
Audit = Callable[..., "str | Iterable[str]"]


@dataclass(frozen=True)
class Guarded:
    """One registered callback or route: what it needs, and for a route its rule and methods."""

    action: Action
    rule: str | None = None
    methods: tuple[str, ...] = ()


@dataclass
class Desk:
    """What pages and callbacks work with.

    Attributes:
        models: the folder of the registry of models.
        url: of the store, for `algorithms.contact.store.Store`.
        now: what time it is, in UTC; a test sets the clock.
        callbacks, routes: what was registered, by callback id and by endpoint, with the action that each needs.
    """

    settings: ExplorerSettings
    lake: Lake
    door: GraphDoor
    store: ExplorerStore
    accounts: Accounts
    audit: AuditLog
    keys_path: Path
    models: Path
    dash: Dash
    server: Flask
    zone: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    callbacks: dict[str, Guarded] = field(default_factory=dict)
    routes: dict[str, Guarded] = field(default_factory=dict)
    pages: tuple[Page, ...] = ()

    @property
    def reader(self) -> GraphReader:
        """The graph; each question has a time limit."""
        return self.door.reader

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the store."""
        return self.store.url

    @property
    def user(self) -> User:
        """Who asks, with their rights as they are now; only inside a request."""
        return cast("User", current_user._get_current_object())

    def keys(self) -> Keys:
        """Return the keys of tokens and vault, read anew so that no worker keeps old ones."""
        return Keys.read(self.keys_path)

    def vault(self) -> Vault:
        """Return the vault; it writes an audit line for each value it shows."""
        return Vault(self.lake.vault, self.keys(), self.audit)

    def may(self, action: Action, object: Owned | None = None) -> Decision:
        """Return whether the user may do it."""
        return authorize(self.user, action, object)

    def require(self, action: Action, object: Owned | None = None) -> None:
        """Return if the user may do it.

        Raises:
            ForbiddenError: they may not.
        """
        decision = self.may(action, object)
        if not decision.allowed:
            raise ForbiddenError(decision.why)

    def record(self, action: Action | str, object: str, purpose: str = "") -> None:
        """Write a line in the audit log: the user, what they did, the ids that they are about to see, and why.

        Raises:
            graph.audit.AuditUnavailableError: it could not be written; show nothing.
        """
        self.audit.append(user=self.user.name, action=str(action), object=object, purpose=purpose or "screen")
        g.recorded = True

    def callback(self, action: Action, *specs: Any, audit: Audit | None = None, **options: Any) -> Callable[..., Any]:
        """Register a Dash callback behind the right to an action.

        Args:
            specs: outputs, inputs and states, as for `dash.callback`.
            audit: from the callback's arguments to what is about to be shown, by id (one, several or none). For an
                action about persons the lines are written before the callback runs. A callback that knows only later
                what it shows calls `record` itself; if it does neither, its own id is written.
            options: as for `dash.callback`.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            before = set(self.dash.callback_map)

            @functools.wraps(function)
            def guarded(*arguments: Any, **named: Any) -> Any:
                try:
                    return self._answer(action, function, audit, name, arguments, named)
                except PreventUpdate:
                    raise
                except ForbiddenError as error:
                    abort(forbidden(error.why))
                except Exception as error:
                    found = trouble(error)
                    if found is None:
                        raise
                    _LOG.warning("callback %s: %s", name, type(error).__name__)
                    from explorer.shell import bar

                    set_props("shell-trouble", {"children": bar(found)})
                    return no_update

            self.dash.callback(*specs, **options)(guarded)
            (name,) = set(self.dash.callback_map) - before
            self.callbacks[name] = Guarded(action)
            return function

        return register

    def route(
        self, action: Action, rule: str, *, methods: tuple[str, ...] = ("GET",), audit: Audit | None = None
    ) -> Callable[..., Any]:
        """Register a Flask route (an export, a picture) behind the right to an action; `audit` as for callbacks."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            name = f"desk.{rule.strip('/').replace('/', '.')}"

            @functools.wraps(function)
            def guarded(**arguments: Any) -> Any:
                try:
                    return make_response(self._answer(action, function, audit, name, (), arguments))
                except ForbiddenError as error:
                    return forbidden(error.why)
                except Exception as error:
                    found = trouble(error)
                    if found is None:
                        raise
                    _LOG.warning("route %s: %s", name, type(error).__name__)
                    answer = jsonify(sentence=found.sentence)
                    answer.status_code = 503 if found.passes else 422
                    return answer

            self.server.add_url_rule(rule, name, guarded, methods=list(methods))
            self.routes[name] = Guarded(action, rule, methods)
            return function

        return register

    def clientside(self, function: Any, *specs: Any, **options: Any) -> None:
        """Register a callback that runs in the browser, on what a guarded one brought there."""
        bound: Any = self.dash.clientside_callback  # it has no types
        bound(function, *specs, **options)

    def _answer(
        self,
        action: Action,
        function: Callable[..., Any],
        audit: Audit | None,
        name: str,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:
        self.require(action)
        g.recorded = False
        persons = action in rights().persons
        if audit is not None:
            shown = audit(*arguments, **named)
            for object in [shown] if isinstance(shown, str) else shown:
                self.record(action, object)
        answer = function(*arguments, **named)
        if persons and not g.recorded:
            self.record(action, name)
        return answer


def named_ids(query: dict[str, str]) -> str:
    """Return the ids in a page's query for the audit log; what is not of an id's form is not repeated."""
    parts = [f"{name}={value if _SAFE_ID.fullmatch(value) else '…'}" for name, value in sorted(query.items())]
    return " ".join(parts)


def forbidden(why: str) -> Response:
    """Return the answer to who may not: 403, or 401 to who is not signed in any more."""
    answer = jsonify(sentence=say(why))
    answer.status_code = 401 if why == "errors.signed_out" else 403
    return answer
