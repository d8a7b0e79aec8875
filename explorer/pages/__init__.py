"""The explorer's pages, in the order of its navigation: each module has `PAGE` and `register(desk)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from explorer.rights import Action

if TYPE_CHECKING:
    from explorer.desk import Desk

# Modules of `explorer.pages`; one that is named and not there is an error at the start.
NAMES: tuple[str, ...] = ("canvas",)


@dataclass(frozen=True)
class Page:
    """One page: its path, the key of its title in the words, who may open it, and what it shows.

    Attributes:
        word: key of the title, for example `rings.title`.
        layout: called inside the request as `layout(desk, **query)`; the reader and their language are known.
        icon: name of a file in `assets/icons` without `.svg`.
    """

    path: str
    word: str
    action: Action
    layout: Callable[..., Any]
    icon: str = "page"


def load(desk: Desk) -> tuple[Page, ...]:
    """Register the callbacks and routes of all pages with the desk and return the pages in order."""
    found = []
    for name in NAMES:
        module = import_module(f"explorer.pages.{name}")
        module.register(desk)
        found.append(module.PAGE)
    return tuple(found)
