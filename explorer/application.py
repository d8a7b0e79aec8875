"""The whole application: a Flask server behind one gate, with Dash inside."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from dash import Dash, html
from flask import Flask, Response, current_app, redirect, render_template, request, send_from_directory, session
from flask_login import user_logged_in
from flask_security import LoginForm, current_user, login_user, logout_user, verify_password
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from wtforms import StringField
from wtforms.validators import InputRequired

from algorithms.contact.settings import QueueSettings
from explorer import pages, shell
from explorer.accounts import PASSWORD_LENGTH, PASSWORDS, Accounts, User
from explorer.compliance.settings_seen import files, note
from explorer.desk import Desk
from explorer.gate import Gate
from explorer.graph_door import GraphDoor
from explorer.lockout import guard_sign_in
from explorer.program_files import ProgramFiles
from explorer.secret import cookie_key
from explorer.sessions import Sessions
from explorer.settings import ExplorerSettings
from explorer.store import ExplorerStore
from explorer.words import say
from graph.audit import AuditLog
from graph.lake import Lake
from graph.settings import Neo4jSettings, PlatformSettings

_HERE = Path(__file__).parent
_OPEN_FILES = frozenset({"theme.css", "sign-in.css", "favicon.ico", "icons/graph.svg"})  # what the sign-in page needs


class Explorer(Dash):
    """Dash whose document tells the reader's language and color scheme."""

    def interpolate_index(self, *_names: Any, **parts: Any) -> str:
        """Return the document of the frame."""
        title = say("shell.product")
        return f"""<!DOCTYPE html>
{shell.start_of_html()}
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
{parts["metas"]}<title>{title}</title>{parts["favicon"]}{parts["css"]}</head>
<body>{parts["app_entry"]}<footer>{parts["config"]}{parts["scripts"]}{parts["renderer"]}</footer></body>
</html>"""


class SignInForm(LoginForm):
    """Sign-in by name; everything else is Flask-Security's."""

    email = StringField()  # Flask-Security looks for its errors; nobody fills it in
    name = StringField("name", validators=[InputRequired()])

    def validate(self, **options: Any) -> bool:
        """Return whether name and password are a user's."""
        self.ifield = self.name
        accounts: Accounts = current_app.extensions["accounts"]
        self.user = accounts.find(self.name.data or "")
        return bool(super().validate(**options))


def create_app(
    settings: ExplorerSettings | None = None,
    platform: PlatformSettings | None = None,
    queue: QueueSettings | None = None,
    neo4j: Neo4jSettings | None = None,
) -> Flask:
    """Return the server; `desk` of its `extensions` holds what its pages work with.

    Raises:
        explorer.store.ExplorerStoreError: the store of users cannot be used.
    """
    settings, platform = settings or ExplorerSettings(), platform or PlatformSettings()
    queue, neo4j = queue or QueueSettings(), neo4j or Neo4jSettings()
    key = cookie_key(settings.secret_path(platform.keys))
    server = Flask("explorer", template_folder=str(_HERE / "templates"), static_folder=None)
    server.config.update(_configuration(settings, key))
    server.wsgi_app = ProgramFiles(server.wsgi_app)  # type: ignore[method-assign]
    if settings.proxies:
        server.wsgi_app = ProxyFix(server.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies)  # type: ignore[method-assign]
    store = ExplorerStore(queue.url(platform.lake))
    accounts = Accounts(store)
    server.extensions["accounts"] = accounts
    dash = Explorer(
        "explorer", server=cast(Any, server), assets_folder=str(_HERE / "assets"), serve_locally=True, enable_mcp=False,
        suppress_callback_exceptions=True, update_title="", compress=False, title="credit-graph", use_pages=False,
        add_log_handler=False,
    )  # fmt: skip
    dash.enable_dev_tools(debug=False)
    desk = Desk(
        settings=settings, lake=Lake(platform.lake), store=store, accounts=accounts, dash=dash, server=server,
        door=GraphDoor(neo4j, settings.graph_seconds, settings.answer_seconds, settings.threads),
        audit=AuditLog(f"sqlite:///{platform.keys.absolute().parent / 'audit.db'}"), keys_path=platform.keys,
        models=platform.models, zone=queue.zone,
    )  # fmt: skip
    server.extensions["desk"] = desk
    sessions = Sessions(store, timedelta(minutes=settings.idle_minutes), timedelta(hours=settings.session_hours))
    Gate(desk, accounts, sessions)  # before Flask-WTF's and Flask-Security's own checks
    CSRFProtect(server)
    accounts.attach(server, login_form=SignInForm, register_blueprint=True)
    _sign_in_and_out(desk, sessions)
    guard_sign_in(server, settings, store, key)
    shell.register(desk)
    desk.pages = pages.load(desk)
    dash.layout = lambda: shell.frame(desk) if current_user.is_authenticated else html.Div()
    store.make()
    note(store, files(queue.policies), desk.now())
    return server


def _configuration(settings: ExplorerSettings, key: bytes) -> dict[str, Any]:
    return {
        "SECRET_KEY": key,
        "DEBUG": False,
        "TESTING": False,
        "MAX_CONTENT_LENGTH": 8 * 1024 * 1024,
        "SESSION_COOKIE_NAME": "credit_graph",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Strict",
        "SESSION_COOKIE_SECURE": settings.secure,
        "WTF_CSRF_TIME_LIMIT": None,  # as long as its session
        "WTF_CSRF_HEADERS": ["X-CSRFToken"],  # what Dash's renderer sends of the cookie below
        "WTF_CSRF_SSL_STRICT": False,  # the gate compares Origin; Referer may be left out by a browser
        "SECURITY_CSRF_COOKIE_NAME": "_csrf_token",
        "SECURITY_CSRF_COOKIE": {"samesite": "Strict", "httponly": False, "secure": settings.secure},
        "SECURITY_CSRF_COOKIE_REFRESH_EACH_REQUEST": True,
        **PASSWORDS,
        "SECURITY_RETURN_GENERIC_RESPONSES": True,
        "SECURITY_LOGIN_USER_TEMPLATE": "sign_in.html",
        "SECURITY_LOGOUT_URL": "/_sign-out-of-flask-security",
        "SECURITY_LOGOUT_METHODS": None,
        "SECURITY_FRESHNESS": timedelta(minutes=-1),
        "SECURITY_API_ENABLED_METHODS": ["session"],
        "SECURITY_SEND_REGISTER_EMAIL": False,
        "SECURITY_FLASH_MESSAGES": False,
        "SECURITY_DEFAULT_REMEMBER_ME": False,
        "REMEMBER_COOKIE_DURATION": 0,
        "RATELIMIT_HEADERS_ENABLED": False,
    }


def _sign_in_and_out(desk: Desk, sessions: Sessions) -> None:
    server = desk.server

    def begun(_server: Flask, user: User, **_options: Any) -> None:
        # Written first: where it cannot be, nobody comes in.
        desk.audit.append(user=user.name, action="sign_in", object=user.name, purpose="")
        sessions.begin(user)

    user_logged_in.connect(begun, server, weak=False)

    @server.post("/logout", endpoint="sign_out")
    def sign_out() -> Response:
        desk.audit.append(user=current_user.name, action="sign_out", object=current_user.name, purpose="")
        sessions.end("signed out")
        logout_user()
        session.clear()
        return redirect("/login")  # type: ignore[return-value]

    @server.route("/password", methods=["GET", "POST"], endpoint="password")
    def password() -> Response | str:
        if request.method == "GET":
            return render_template("password.html", short=PASSWORD_LENGTH)
        now, new, again = (request.form.get(field, "") for field in ("password", "new_password", "again"))
        if new != again or len(new) < PASSWORD_LENGTH or not verify_password(now, current_user.password):
            return Response(render_template("password.html", short=PASSWORD_LENGTH), 422)
        name = current_user.name
        desk.audit.append(user=name, action="users.password", object=name, purpose="own")
        desk.accounts.set_password(name, new)
        login_user(desk.accounts.named(name))  # every other session of theirs has ended
        return redirect("/")  # type: ignore[return-value]

    @server.get("/open/<path:name>", endpoint="open_file")
    def open_file(name: str) -> Response:
        if name not in _OPEN_FILES:
            return Response(status=404)
        return send_from_directory(_HERE / "assets", name, max_age=3600)

    @server.get("/healthy", endpoint="healthy")
    def healthy() -> Response:
        with desk.store.reading() as connection:
            connection.exec_driver_sql("SELECT 1")
        return Response("ok\n", mimetype="text/plain")

    server.jinja_env.globals["say"] = say
