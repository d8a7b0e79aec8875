"""What every request passes before anything answers it, and what every answer carries."""

from __future__ import annotations

import logging
import time
from threading import BoundedSemaphore
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from flask import Response, abort, g, jsonify, redirect, render_template, request, session
from flask_security import current_user, logout_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from explorer.desk import forbidden
from explorer.pages import find
from explorer.rights import authorize
from explorer.trouble import trouble
from explorer.words import LANGUAGES, say

if TYPE_CHECKING:
    from explorer.accounts import Accounts
    from explorer.desk import Desk
    from explorer.sessions import Sessions

_LOG = logging.getLogger("explorer")
_PUBLIC = frozenset({"security.login", "open_file", "healthy"})
_UNCOUNTED = frozenset({"open_file", "healthy"})
_WAIT_SECONDS = 0.25  # for a place, before 503
_RETRY_SECONDS = 2


class Gate:
    """Host, Origin, a place among those in flight, a live session, and the right to a page; CSRF is Flask-WTF's."""

    def __init__(self, desk: Desk, accounts: Accounts, sessions: Sessions) -> None:
        self._desk = desk
        self._accounts = accounts
        self._sessions = sessions
        self._names = desk.settings.host_names()
        self._written_policy = ""
        self._places = BoundedSemaphore(max(1, desk.settings.threads - 2))  # two are left to say that it is full
        server = desk.server
        server.before_request(self.admit)
        server.after_request(self.dress)
        server.teardown_request(self.leave)
        server.register_error_handler(HTTPException, self.refused)
        server.register_error_handler(CSRFError, self.refused)
        server.register_error_handler(Exception, self.failed)

    def admit(self) -> Response | None:
        """Refuse what may not be answered; None lets it pass."""
        g.answer_by = time.monotonic() + self._desk.settings.answer_seconds
        g.zone = self._desk.zone
        asked = request.args.get("in") if request.endpoint == "security.login" else None
        g.language = asked if asked in LANGUAGES else request.accept_languages.best_match(LANGUAGES, "en")
        g.theme = None
        if (urlsplit(f"//{request.host}").hostname or "") not in self._names:
            abort(421)
        if request.method not in ("GET", "HEAD", "OPTIONS") and not self._own_origin():
            abort(403)
        if request.endpoint not in _UNCOUNTED:
            if not self._places.acquire(timeout=_WAIT_SECONDS):
                return self._full()
            g.place = True
        if request.endpoint in _PUBLIC:
            self._forget_ended()
            return None
        user = current_user
        if not user.is_authenticated or not self._sessions.alive(user, used=not _by_itself()):
            return self._sign_in()
        g.language = user.language or g.language
        g.theme = user.theme
        return self._page()

    def dress(self, response: Response) -> Response:
        """Add the headers that keep an answer from being kept, framed, sniffed or scripted by others."""
        headers = response.headers
        headers["Content-Security-Policy"] = self._policy()
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
        if self._desk.settings.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        program = (request.endpoint or "").endswith(("package_name>/<path:fingerprinted_path>", "open_file"))
        if not program or response.status_code >= 400:
            headers["Cache-Control"] = "no-store, private"
        return response

    def leave(self, _error: BaseException | None) -> None:
        """Give the place back."""
        if g.pop("place", False):
            self._places.release()

    def refused(self, error: HTTPException) -> Response:
        """Return what a refused request is told: a page to a person, JSON to the program in their browser."""
        code = error.code or 500
        if error.response is not None:
            return error.response  # type: ignore[return-value]
        key = {403: "forbidden", 404: "not_found", 421: "wrong_host", 429: "locked_out", 503: "full"}.get(code, "bad")
        if isinstance(error, CSRFError):
            key, code = "csrf", 403
        return self._told(say(f"errors.{key}", minutes=self._desk.settings.lock_minutes), code)

    def failed(self, error: Exception) -> Response:
        """Return what an unexpected or passing failure is told as; the traceback goes to the log, without values."""
        found = trouble(error)
        if found is None:
            _LOG.exception("request to %s failed", request.endpoint)
            return self._told(say("errors.ours"), 500)
        _LOG.warning("request to %s: %s", request.endpoint, type(error).__name__)
        return self._told(found.sentence, 503 if found.passes else 422)

    def _forget_ended(self) -> None:
        """Take the user out of a cookie whose session has ended: the sign-in page would send them back to nowhere."""
        signing_in = request.endpoint == "security.login" and current_user.is_authenticated
        if signing_in and not self._sessions.alive(current_user, used=False):
            logout_user()
            session.clear()

    def _own_origin(self) -> bool:
        origin = request.headers.get("Origin")
        if origin is None:
            return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
        return origin == request.host_url.rstrip("/")

    def _policy(self) -> str:
        if self._written_policy:  # the scripts of the page are known once it is served
            return self._written_policy
        # Mantine, ag-grid, cytoscape and plotly write style elements at run time and hand over no nonce, so styles may
        # be inline; scripts may not: those Dash writes into the page are named by their hashes.
        scripts = " ".join(["'self'", *self._desk.dash.csp_hashes()])
        self._written_policy = (
            f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
            "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'; manifest-src 'self'"
        )
        return self._written_policy

    def _sign_in(self) -> Response:
        if self._wants_page():
            here = request.full_path.rstrip("?")
            return redirect(f"/login?next={quote(here)}" if here != "/" else "/login")  # type: ignore[return-value]
        return forbidden("errors.signed_out")

    def _page(self) -> Response | None:
        """Refuse a page that is not the user's, or none at all; Dash would answer every path with its frame."""
        if request.endpoint not in ("", "/", "<path:path>", "/<path:path>"):
            return None
        pages = self._desk.pages
        found, _ = find(pages, request.path) or (None, {})
        if found is None and request.path == "/":
            mine = next((page for page in pages if authorize(current_user, page.action).allowed), None)
            return redirect(mine.path) if mine else None  # type: ignore[return-value]
        if found is None:
            abort(404)
        decision = authorize(current_user, found.action)
        return None if decision.allowed else self._told(say(decision.why), 403)

    def _full(self) -> Response:
        answer = self._told(say("errors.full"), 503)
        answer.headers["Retry-After"] = str(_RETRY_SECONDS)
        return answer

    def _told(self, sentence: str, code: int) -> Response:
        if self._wants_page():
            answer = Response(render_template("refused.html", sentence=sentence, code=code, say=say), code)
        else:
            answer = jsonify(sentence=sentence)
            answer.status_code = code
        return answer

    def _wants_page(self) -> bool:
        return not request.path.startswith("/_") and "text/html" in request.headers.get("Accept", "")


def _by_itself() -> bool:
    """Return whether a page asked without anybody doing anything: its clock ticked."""
    if not request.is_json:
        return False
    asked = request.get_json(silent=True)
    changed = asked.get("changedPropIds") if isinstance(asked, dict) else None
    return bool(changed) and isinstance(changed, list) and all(str(one).endswith(".n_intervals") for one in changed)
