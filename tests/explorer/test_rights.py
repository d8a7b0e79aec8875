"""Who may do what: the rule itself, and every callback, route and page of the application under every role."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from explorer.desk import Desk
from explorer.rights import Action, Decision, RightsError, Role, Shows, authorize, read_rights, rights, shows
from tests.explorer.conftest import Client, callback_of

FILE = Path(__file__).parents[2] / "explorer" / "rights.yml"
PAGE = {"Accept": "text/html"}


@dataclass
class Person:
    name: str
    roles: tuple[str, ...] = ()
    active: bool = True

    @property
    def role_names(self) -> frozenset[str]:
        return frozenset(self.roles)


@dataclass
class Thing:
    owners: list[str] = field(default_factory=list)


def may(role: str, action: Action) -> bool:
    """What the file says, read without the program."""
    return role in yaml.safe_load(FILE.read_text())["actions"][action]


def test_whoever_is_not_named_may_not() -> None:
    for action in Action:
        for role in Role:
            assert authorize(Person("ann", (role,)), action).allowed is may(role, action), (role, action)
        assert not authorize(Person("ann"), action).allowed
        assert not authorize(Person("ann", ("director",)), action).allowed
        assert authorize(None, action) == Decision(False, "errors.signed_out")
        assert authorize(Person("ann", tuple(Role), active=False), action) == Decision(False, "errors.signed_out")


def test_own_means_only_what_is_theirs() -> None:
    ann = Person("ann", ("analyst",))
    assert authorize(ann, Action.CHANGE_SCENES) == Decision(True, own=True)
    assert authorize(ann, Action.CHANGE_SCENES, Thing(["ann"])).allowed
    assert authorize(ann, Action.CHANGE_SCENES, Thing(["bob"])) == Decision(False, "errors.not_yours")
    assert authorize(ann, Action.CHANGE_SCENES, Thing()) == Decision(False, "errors.not_yours")


def test_two_roles_may_what_either_may_and_see_what_either_sees() -> None:
    both = Person("ann", ("collector", "operator"))
    assert authorize(both, Action.SEE_LEADS).allowed
    assert authorize(both, Action.SEE_NIGHT).allowed
    assert shows(Person("ann", ("collector",))) == frozenset()
    assert shows(Person("ann", ("collector", "model_developer"))) >= {Shows.SCORES}
    assert shows(None) == frozenset()


def test_collectors_see_nothing_of_rings_scores_or_money() -> None:
    collector = Person("wang", ("collector",))
    assert not shows(collector)
    allowed = {action for action in Action if authorize(collector, action).allowed}
    assert {action.split(".")[0] for action in allowed} == {"leads", "shell"}


def test_administrators_give_rights_and_see_no_person() -> None:
    admin = Person("root", ("admin",))
    assert not [action for action in rights().persons if authorize(admin, action).allowed]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("  rings.see:", "  rings.look:"), "rings.look"),
        (lambda text: re.sub(r"  rings.see: .*\n", "", text), "rings.see"),
        (lambda text: text.replace("analyst: all", "analyst: some"), "some"),
        (lambda text: text.replace("analyst: all", "director: all"), "director"),
        (lambda text: re.sub(r"  admin: \[\]\n", "", text), "admin"),
    ],
)
def test_a_file_that_leaves_something_open_is_refused(change: Callable[[str], str], said: str) -> None:
    with pytest.raises(RightsError, match=r"rights\.yml") as refused:
        read_rights(change(FILE.read_text()))
    assert said in str(refused.value)


def test_nothing_answers_around_the_desk(desk: Desk) -> None:
    on_server = {name for name, entry in desk.dash.callback_map.items() if "callback" in entry}
    assert on_server == set(desk.callbacks)
    outside = {
        "_dash_assets.static",
        "security.login",
        "security.static",
        "sign_out",
        "password",
        "open_file",
        "healthy",
    }
    dash = {rule.endpoint for rule in desk.server.url_map.iter_rules() if rule.endpoint.startswith("/")}
    assert dash == {"/", "/<path:path>", "/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>",
                    "/_dash-layout", "/_dash-dependencies", "/_dash-update-component", "/_reload-hash",
                    "/_favicon.ico"}  # fmt: skip
    found = {rule.endpoint for rule in desk.server.url_map.iter_rules()}
    assert found - dash - set(desk.routes) == outside


@pytest.mark.parametrize("role", Role)
def test_every_callback_is_forbidden_or_allowed_as_the_file_says(
    client: Callable[[str], Client], desk: Desk, role: Role
) -> None:
    browser = client(role)
    wrong = []
    for name, guarded in sorted(desk.callbacks.items()):
        answer = browser.fire(name)
        good = answer.status_code in (200, 204) if may(role, guarded.action) else answer.status_code == 403
        if not good:
            wrong.append((name, guarded.action, answer.status_code, answer.text[:200]))
    assert not wrong


@pytest.mark.parametrize("role", Role)
def test_every_route_is_forbidden_or_allowed_as_the_file_says(
    client: Callable[[str], Client], desk: Desk, role: Role
) -> None:
    browser = client(role)
    wrong = []
    for guarded in desk.routes.values():
        for method in guarded.methods:
            path = re.sub(r"<[^>]+>", "x", guarded.rule or "")
            answer = browser.http.open(path, method=method, headers=browser.headers())
            good = answer.status_code not in (401, 403, 500) if may(role, guarded.action) else answer.status_code == 403
            if not good:
                wrong.append((path, method, guarded.action, answer.status_code, answer.text[:200]))
    assert not wrong


@pytest.mark.parametrize("role", Role)
def test_every_page_is_forbidden_or_allowed_as_the_file_says(
    client: Callable[[str], Client], desk: Desk, role: Role
) -> None:
    browser = client(role)
    frame = browser.layout().text
    for page in desk.pages:
        answer = browser.get(page.path, headers=PAGE)
        assert answer.status_code == (200 if may(role, page.action) else 403), page.path
        assert (f'"shell-to-{page.path[1:]}"' in frame) is may(role, page.action), page.path
    assert browser.get("/no-such-page", headers=PAGE).status_code == 404


def test_an_address_may_say_anything_of_a_page(client: Callable[[str], Client], desk: Desk) -> None:
    shown = callback_of(desk.server, "shell-content.children")
    for role, page in (("analyst", "/rings"), ("collector", "/leads"), ("operator", "/night")):
        answer = client(role).fire(shown, page, "?desk=x&self=1&page=<b>", 0)
        assert answer.status_code == 200, (page, answer.text[:200])


def test_a_right_taken_away_acts_on_the_next_callback(client: Callable[[str], Client], desk: Desk) -> None:
    browser = client("operator")
    name = next(name for name, guarded in desk.callbacks.items() if guarded.action == Action.USE)
    assert browser.fire(name).status_code in (200, 204)
    with desk.server.app_context():
        desk.accounts.set_active("operator", False)
    try:
        assert browser.fire(name).status_code == 401
    finally:
        with desk.server.app_context():
            desk.accounts.set_active("operator", True)
