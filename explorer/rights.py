"""The one answer to "may they?": asked by pages, callbacks, routes and exports alike, anew at every request."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import yaml


class Role(StrEnum):
    """What somebody works as; a user may have several."""

    ANALYST = "analyst"
    COLLECTOR = "collector"
    OPERATOR = "operator"
    MODEL_DEVELOPER = "model_developer"
    COMPLIANCE = "compliance"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be done; `rights.yml` says who may."""

    USE = "shell.use"
    SEE_RINGS = "rings.see"
    JUDGE_RINGS = "rings.judge"
    EXPORT_RINGS = "rings.export"
    SEE_CANVAS = "canvas.see"
    EXPORT_CANVAS = "canvas.export"
    OPEN_SCENES = "scenes.open"
    CHANGE_SCENES = "scenes.change"
    SEE_CASES = "cases.see"
    CHANGE_CASES = "cases.change"
    ASSIGN_CASES = "cases.assign"
    EXPORT_CASES = "cases.export"
    SEE_LEADS = "leads.see"
    CALL = "leads.call"
    ASSIGN_LEADS = "leads.assign"
    SEE_NIGHT = "night.see"
    SEE_MODEL = "model.see"
    SEE_COMPLIANCE = "compliance.see"
    EXPORT_COMPLIANCE = "compliance.export"
    SEE_PEOPLE = "people.see"
    CHANGE_PEOPLE = "people.change"


class Shows(StrEnum):
    """What a reader sees of what is shown at all."""

    MONEY = "money"
    SCORES = "scores"
    RINGS = "rings"
    PERSONS = "persons"
    LINKS = "links"


class RightsError(Exception):
    """`rights.yml` does not say for each action who may do it."""


class ForbiddenError(Exception):
    """Somebody asked for what their roles do not allow; `why` is a key of the words."""

    def __init__(self, why: str = "errors.forbidden") -> None:
        super().__init__(why)
        self.why = why


class Reader(Protocol):
    """Who asks: a user with a name, roles, and whether they may sign in at all."""

    name: str
    active: bool

    @property
    def role_names(self) -> frozenset[str]: ...  # noqa: D102


class Owned(Protocol):
    """What belongs to somebody: a scene to who saved it, a case to whom it is assigned."""

    @property
    def owners(self) -> Collection[str]: ...  # noqa: D102


@dataclass(frozen=True)
class Decision:
    """Whether it is allowed; if not, `why` is a key of the words. `own`: only for what is theirs."""

    allowed: bool
    why: str = ""
    own: bool = False


@dataclass(frozen=True)
class Rights:
    """`rights.yml`: per action the roles and their reach, whether it is about persons; per role what it sees."""

    reach: dict[Action, dict[Role, str]]
    persons: frozenset[Action]
    shows: dict[Role, frozenset[Shows]]


def read_rights(text: str) -> Rights:
    """Return the rights of a file's text.

    Raises:
        RightsError: an action or a role is missing or unknown, or a reach is neither `all` nor `own`.
    """
    read: dict[str, Any] = yaml.safe_load(text)
    reach: dict[Action, dict[Role, str]] = {}
    persons = set()
    try:
        for name, said in read["actions"].items():
            said = dict(said)
            if said.pop("persons", False):
                persons.add(Action(name))
            reach[Action(name)] = {Role(role): how for role, how in said.items()}
        shows = {Role(role): frozenset(Shows(what) for what in said) for role, said in read["shows"].items()}
    except ValueError as error:
        raise RightsError(f"rights.yml names something unknown: {error}.") from None
    for found in ([action for action in Action if action not in reach], [role for role in Role if role not in shows]):
        if found:
            raise RightsError(f"rights.yml leaves out {', '.join(found)}. Say who may, or that nobody does: {{}}.")
    for action, said in reach.items():
        if unknown := set(said.values()) - {"all", "own"}:
            raise RightsError(f"rights.yml says {sorted(unknown)} of {action}, where `all` or `own` was needed.")
    return Rights(reach, frozenset(persons), shows)


@cache
def rights() -> Rights:
    """Return the rights in force: those of `rights.yml` beside this module."""
    return read_rights(Path(__file__).with_name("rights.yml").read_text())


def _roles(user: Reader | None) -> Iterable[Role]:
    return (Role(name) for name in getattr(user, "role_names", ()) if name in set(Role))


def authorize(user: Reader | None, action: Action, object: Owned | None = None) -> Decision:
    """Return whether the user may do it, to `object` if one is given.

    Without an object, one who may do it only to their own is allowed, with `own` set: whoever then acts on an object
    asks again with it.
    """
    if user is None or not getattr(user, "active", False):
        return Decision(False, "errors.signed_out")
    reaches = {rights().reach[action].get(role) for role in _roles(user)}
    if "all" in reaches:
        return Decision(True)
    if "own" not in reaches:
        return Decision(False, "errors.forbidden")
    if object is not None and user.name not in object.owners:
        return Decision(False, "errors.not_yours")
    return Decision(True, own=True)


def shows(user: Reader | None) -> frozenset[Shows]:
    """Return what the user sees of persons, links and rings, by all their roles."""
    return frozenset[Shows]().union(*(rights().shows[role] for role in _roles(user)))
