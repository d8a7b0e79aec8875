"""The explorer's pages, in the order of its navigation: each module has `PAGE` and `register(desk)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from explorer.rights import Action

if TYPE_CHECKING:
    from explorer.desk import Desk

# Modules of `explorer.pages`; one that is named and not there is an error at the start.
NAMES: tuple[str, ...] = ("rings", "canvas", "leads", "cases", "night", "model", "compliance", "people")


@dataclass(frozen=True)
class Page:
    """One page: its path, the key of its title in the words, who may open it, and what it shows.

    Attributes:
        word: key of the title, for example `rings.title`.
        layout: called inside the request as `layout(desk, **query)`; the reader and their language are known.
        icon: name of a file in `assets/icons` without `.svg`.
        below: the query value that the rest of a path below the page's own is given as, so that `/rings/ring_5f…` is
            the page `/rings` with `ring=ring_5f…`; a page without one has no paths below it.
    """

    path: str
    word: str
    action: Action
    layout: Callable[..., Any]
    icon: str = "page"
    below: str = ""


def find(pages: Iterable[Page], path: str) -> tuple[Page, dict[str, str]] | None:
    """Return the page of a path, and what the path itself says beyond it; None where there is no page."""
    for page in pages:
        rest = path.removeprefix(f"{page.path}/") if page.below else path
        if path == page.path:
            return page, {}
        if rest not in ("", path) and "/" not in rest:
            return page, {page.below: rest}
    return None


def load(desk: Desk) -> tuple[Page, ...]:
    """Register the callbacks and routes of all pages with the desk and return the pages in order."""
    found = []
    for name in NAMES:
        module = import_module(f"explorer.pages.{name}")
        module.register(desk)
        found.append(module.PAGE)
    return tuple(found)
