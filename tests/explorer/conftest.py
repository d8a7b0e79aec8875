"""The real explorer on a small real world: its lake, its Neo4j, its SQLite store, a user of each role, a browser."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.serving import make_server

from algorithms.contact.loading import load
from algorithms.contact.night import read_night
from algorithms.contact.settings import QueueSettings
from algorithms.contact.store import Store
from explorer.accounts import PASSWORDS, users_alone
from explorer.application import create_app
from explorer.desk import Desk
from explorer.rights import Role
from explorer.settings import ExplorerSettings
from explorer.store import ExplorerStore
from graph.server import LocalServer, free_port
from graph.settings import Neo4jSettings, PlatformSettings
from tests.algorithms.contact_world import NOON
from tests.explorer.small_world import SmallWorld, fill, write_world

PASSWORD = "a long enough password"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
_MARK = "MATCH (n:Ring) WITH count(n) AS rings MATCH (p:Person {id: 'per_S00'}) RETURN rings"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """The lake of the small world; tests read it and do not change it."""
    return write_world(tmp_path_factory.mktemp("explorer"))


@pytest.fixture
def graph(neo4j_server: LocalServer, world: SmallWorld) -> LocalServer:
    """The test Neo4j with the graph of the small world; filled again where another test emptied it."""
    neo4j_server.start()
    with neo4j_server.driver() as driver:
        found = driver.execute_query(_MARK).records
        if not found or found[0]["rings"] != 2:
            driver.execute_query("MATCH (n) DETACH DELETE n")
            fill(driver, world)
    return neo4j_server


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Argon2 with little work: a second for each sign-in would be most of the run."""
    with pytest.MonkeyPatch.context() as patch:
        quick = {"argon2__time_cost": 1, "argon2__memory_cost": 1024, "argon2__parallelism": 1}
        patch.setitem(PASSWORDS, "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS", quick)
        yield


@pytest.fixture(scope="session")
def seeded(quick_hashes: None, world: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the night's leads and a user of each role, made once: hashing a password takes its time."""
    path = tmp_path_factory.mktemp("seed") / "store.db"
    load(Store(f"sqlite:///{path}"), read_night(world.contact.lake), NOON)
    explorer_store = ExplorerStore(f"sqlite:///{path}")
    explorer_store.make()
    with users_alone(explorer_store) as accounts:
        for role in Role:
            accounts.add(role, [role], PASSWORD)
    return path


@pytest.fixture(scope="session")
def new_app(world: SmallWorld, seeded: Path) -> Callable[..., Flask]:
    """How a test makes an explorer: `new_app(folder, uri, password)`, with a store and an audit log of its own.

    Without `uri` it has no Neo4j. Its clock stands at noon in Shanghai, the day after the night, so that calls are
    lawful. Other settings by name. A second one on the same folder shares store, keys and audit log with the first.
    """

    def make(folder: Path, uri: str = "bolt://127.0.0.1:1", password: str = "", **settings: Any) -> Flask:
        keys = folder / "keys.json"
        if not keys.exists():
            keys.write_bytes(world.keys.read_bytes())
            with sqlite3.connect(seeded) as seed, sqlite3.connect(folder / "store.db") as store:
                seed.backup(store)
        app = create_app(
            ExplorerSettings(**settings), PlatformSettings(keys=keys, lake=world.lake, models=folder / "models"),
            QueueSettings(store=SecretStr(f"sqlite:///{folder / 'store.db'}")),
            Neo4jSettings(uri=uri, password=SecretStr(password)),
        )  # fmt: skip
        desk_of(app).now = lambda: NOON
        return app

    return make


@pytest.fixture
def lone_app(new_app: Callable[..., Flask], tmp_path: Path) -> Flask:
    """An explorer of the test's own, without Neo4j; callbacks may be added before its first request."""
    return new_app(tmp_path)


def desk_of(app: Flask) -> Desk:
    """The desk of an explorer."""
    desk: Desk = app.extensions["desk"]
    return desk


@pytest.fixture(scope="session")
def session_app(
    new_app: Callable[..., Flask], neo4j_server: LocalServer, tmp_path_factory: pytest.TempPathFactory
) -> Flask:
    """One explorer for the run on the test Neo4j; what one test writes into its store the next one finds."""
    neo4j_server.start()
    return new_app(tmp_path_factory.mktemp("app"), neo4j_server.uri, neo4j_server.password())


@pytest.fixture
def app(session_app: Flask, graph: LocalServer) -> Flask:
    """The explorer of the run, with the graph there."""
    return session_app


@pytest.fixture
def desk(app: Flask) -> Desk:
    """Its desk."""
    return desk_of(app)


@dataclass
class Client:
    """A browser without a screen: cookies, the CSRF token and the Origin that Dash's renderer sends."""

    http: FlaskClient
    app: Flask

    def get(self, path: str, **options: Any) -> Any:
        """Ask for a page or a file."""
        return self.http.get(path, **options)

    def post(self, path: str, json: Any = None, **headers: str) -> Any:
        """Post JSON as the renderer does."""
        return self.http.post(path, json=json, headers={**self.headers(), **headers})

    def headers(self) -> dict[str, str]:
        """What a page of the explorer itself sends along."""
        cookie = self.http.get_cookie("_csrf_token")
        return {"X-CSRFToken": cookie.decoded_value if cookie else "", "Origin": "http://localhost"}

    def fire(self, callback_id: str, *values: Any, changed: str = "", **headers: str) -> Any:
        """Run a callback of the application as the renderer does: `values` are its inputs, then its states.

        `callback_id` is that of `desk.callbacks`; `callback_of` finds it by one of its outputs.
        """
        return self.post("/_dash-update-component", payload(self.app, callback_id, values, changed), **headers)

    def layout(self) -> Any:
        """The frame that the renderer draws."""
        return self.get("/_dash-layout")


def callback_of(app: Flask, output: str) -> str:
    """The id of the callback that writes an output such as `rings-table.rowData`; an error where several do."""
    found = [name for name in desk_of(app).callbacks if output in re.split(r"\.\.\.|^\.\.|\.\.$|@\w+", name)]
    assert len(found) == 1, f"{output}: {found}; there are {sorted(desk_of(app).callbacks)}"
    return found[0]


def payload(app: Flask, callback_id: str, values: tuple[Any, ...] = (), changed: str = "") -> dict[str, Any]:
    """The body that the renderer posts for a callback; missing values are null."""
    said = next(entry for entry in desk_of(app).dash._callback_list if entry["output"] == callback_id)
    filled = [*values, *([None] * (len(said["inputs"]) + len(said["state"]) - len(values)))]

    def given(specs: list[dict[str, Any]], at: int) -> list[Any]:
        return [
            [] if "{" in str(spec["id"]) and value is None
            else {"id": _id(spec["id"]), "property": spec["property"], "value": value}
            for spec, value in zip(specs, filled[at:], strict=False)
        ]  # fmt: skip

    names = [part.split("@")[0].rsplit(".", 1) for part in re.split(r"\.\.\.", callback_id.strip("."))]
    outputs = [{"id": _id(id), "property": prop} for id, prop in names]
    inputs = given(said["inputs"], 0)
    first = said["inputs"][0]
    return {
        "output": callback_id, "outputs": outputs if callback_id.startswith("..") else outputs[0], "inputs": inputs,
        "changedPropIds": [changed or f"{first['id']}.{first['property']}"],
        "state": given(said["state"], len(said["inputs"])),
    }  # fmt: skip


def _id(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) and text.startswith("{") else text


def signed_in(app: Flask, name: str, password: str = PASSWORD) -> Client:
    """Sign in through the real form."""
    client = Client(app.test_client(), app)
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").text)
    assert token
    form = {"name": name, "password": password, "csrf_token": token[1]}
    answer = client.http.post("/login", data=form, headers={"Origin": "http://localhost"})
    assert answer.status_code == 302, answer.text
    client.get("/", headers={"Accept": "text/html"})  # the frame brings the CSRF cookie of the new session
    return client


@pytest.fixture
def client(app: Flask) -> Callable[[str], Client]:
    """How a test signs in: `client("analyst")`; each call is a browser of its own."""
    return lambda role: signed_in(app, role)


@pytest.fixture(scope="session")
def served(session_app: Flask) -> Iterator[str]:
    """The address at which the explorer of the run is served."""
    with serving(session_app) as address:
        yield address


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve an explorer in threads of its own while the block lasts; its address."""
    port = free_port()
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, started once for the run."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = next((path for path in CHROMIUM if Path(path).exists()), None)
    if path is None:  # on a user's machine; continuous integration installs it first
        pytest.skip("Chromium is not here: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser_page(chromium: Any, served: str, graph: LocalServer) -> Iterator[Callable[..., Any]]:
    """How a test meets the explorer as a person does: `browser_page("analyst", "/rings")` returns a Playwright page.

    Options: `language`, `scheme` (light, dark), `width`, `height`. Whatever the browser's console calls an error, and
    each breach of the content policy, fails the test, except texts that match `page.expected_errors`.
    """
    with browsing(chromium, served) as open_page:
        yield open_page


@pytest.fixture
def lone_page(chromium: Any, lone_app: Flask) -> Iterator[Callable[..., Any]]:
    """The same for pages that need no graph: a browser that meets the test's own explorer."""
    with serving(lone_app) as address, browsing(chromium, address) as open_page:
        yield open_page


@contextmanager
def browsing(chromium: Any, served: str) -> Iterator[Callable[..., Any]]:
    """Open pages as `browser_page` says, at an address."""
    contexts, pages = [], []

    def open_page(
        role: str, path: str = "/", *, language: str = "en", scheme: str = "light", width: int = 1440, height: int = 860
    ) -> Any:
        locale = "zh-CN" if language == "zh" else "en-US"
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, locale=locale, base_url=served
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.found_errors, page.expected_errors = [], []
        page.on("console", lambda said: page.found_errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.found_errors.append(str(error)))
        contexts.append(context)
        pages.append(page)
        page.goto("/login")
        page.fill("#name", role)
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector("#shell-content")
        if path != "/":
            page.goto(path)
            page.wait_for_selector("#shell-content")
        return page

    yield open_page
    unexpected = [
        error for page in pages for error in page.found_errors
        if not any(re.search(pattern, error) for pattern in page.expected_errors)
    ]  # fmt: skip
    for context in contexts:
        context.close()
    assert not unexpected
