"""What the browser asks of the canvas, checked before anything is asked of the graph.

Labels, types and directions must be those of the schema; whatever else a person or a program sends is refused with a
sentence and never becomes part of a statement.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from explorer.words import say
from graph.answers import Cursor, End, GraphError
from graph.queries import BRANCHES
from graph.reader import PAGE
from graph.schema import RELATIONSHIPS, Label

AT_ONCE = 20  # nodes that are expanded by one click
SAVED_NODES = 5_000
SAVED_EDGES = 20_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Id = Annotated[str, Field(min_length=1, max_length=400)]
Second = Annotated[int, Field(ge=-(2**40), le=2**40)]
RelationshipType = Literal[RELATIONSHIPS]  # type: ignore[valid-type]  # the schema is the list


class AskedWronglyError(GraphError):
    """The browser asked for something that is not of the form of a question."""


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(_Asked):
    """One node by label and id."""

    label: Label
    id: Id

    @property
    def end(self) -> End:
        """The node."""
        return End(self.label.value, self.id)


class Expand(_Asked):
    """One layer of some nodes: which links, and from which page mark on. Times are epoch seconds, inclusive."""

    nodes: Annotated[tuple[Named, ...], Field(min_length=1, max_length=AT_ONCE)]
    type: RelationshipType | None = None
    direction: Literal["in", "out"] | None = None
    since: Second | None = None
    until: Second | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE)] = PAGE
    after: Annotated[str, Field(max_length=2000)] | None = None
    shown: Annotated[int, Field(ge=0, le=10**9)] = 0

    @property
    def since_at(self) -> dt.datetime | None:
        """The begin of the window."""
        return None if self.since is None else _EPOCH + dt.timedelta(seconds=self.since)

    @property
    def each(self) -> int:
        """How many links of each node: all together never more than a page."""
        return max(1, self.limit // len(self.nodes))

    def cursor(self, end: End) -> Cursor | None:
        """Return where the page of a node begins: after a mark, or at the end of the window.

        Raises:
            graph.answers.CursorError: the mark is none.
        """
        if self.after is not None and len(self.nodes) == 1:
            return Cursor.parse(self.after)
        if self.until is None:
            return None
        # As if a page had ended at the last row of the second after the window.
        return Cursor(self.until + 1, BRANCHES[end.label][-1].name, 0)


class Two(_Asked):
    """Two nodes, of which something is asked."""

    a: Named
    b: Named


class Content(_Asked):
    """What is kept of a canvas: names of nodes with places, names of edges, and the view."""

    nodes: Annotated[tuple[tuple[Label, Id, float | None, float | None], ...], Field(max_length=SAVED_NODES)]
    edges: Annotated[tuple[tuple[RelationshipType, Label, Id, Label, Id], ...], Field(max_length=SAVED_EDGES)]
    view: View


class View(_Asked):
    """How a canvas was looked at; keys are those of nodes and groups on it."""

    hidden: Annotated[tuple[str, ...], Field(max_length=SAVED_NODES)] = ()
    pins: Annotated[dict[str, tuple[float, float]], Field(max_length=SAVED_NODES)] = {}
    labelsOff: tuple[Label, ...] = ()  # noqa: N815  # names of the browser's view
    typesOff: tuple[RelationshipType, ...] = ()  # noqa: N815
    since: Second | None = None
    onlySince: bool = False  # noqa: N815
    opened: Annotated[tuple[Annotated[str, Field(max_length=2000)], ...], Field(max_length=SAVED_NODES)] = ()
    from_: Second | None = Field(default=None, alias="from")
    to: Second | None = None


class Save(_Asked):
    """A canvas to keep, under a name; `scene` and `version` tell what it was opened from."""

    name: Annotated[str, Field(max_length=120)] = ""
    content: Content
    scene: Annotated[str, Field(max_length=40)] | None = None
    version: int | None = None


class Export(_Asked):
    """Links to write into a file, and what for."""

    edges: Annotated[tuple[tuple[RelationshipType, Label, Id, Label, Id], ...], Field(max_length=SAVED_EDGES)]
    purpose: Annotated[str, Field(min_length=1, max_length=200)]


class Picture(_Asked):
    """What is about to be kept as a picture, and what for."""

    nodes: Annotated[tuple[Named, ...], Field(max_length=SAVED_NODES)]
    elements: Annotated[int, Field(ge=0)]
    purpose: Annotated[str, Field(min_length=1, max_length=200)]


Content.model_rebuild()
Save.model_rebuild()
_T = TypeVar("_T", bound=BaseModel)


def asked(kind: type[_T], data: Any) -> _T:
    """Return what the browser sent as a question of a kind.

    Raises:
        AskedWronglyError: it is none; what was sent is not repeated.
    """
    try:
        return kind.model_validate(data)
    except ValidationError:
        raise AskedWronglyError(say("canvas.asked_wrongly")) from None
