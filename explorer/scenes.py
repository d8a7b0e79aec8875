"""Scenes: what somebody laid out on the canvas, kept by version under an opaque id. Nothing kept is ever overwritten.

A scene holds names of nodes and relationships and how they were looked at, never what is known of them: whoever opens
it reads that anew, with their own rights, from the graph as it is then.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, Connection, ForeignKey, Integer, String, Table, insert, select, update

from algorithms.contact.store import Utc
from explorer.store import METADATA, ExplorerStore

_ID_BYTES = 12
NAME_LENGTH = 120

SCENES = Table(
    "explorer_scenes", METADATA,
    Column("scene_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("made_by", String, nullable=False, index=True),
    Column("made_at", Utc, nullable=False),
    Column("version", Integer, nullable=False),
    Column("copy_of", String),
)  # fmt: skip
SCENE_VERSIONS = Table(
    "explorer_scene_versions", METADATA,
    Column("scene_id", String, ForeignKey(SCENES.c.scene_id), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("content", JSON, nullable=False),
    Column("digest", String, nullable=False),
    Column("saved_by", String, nullable=False),
    Column("saved_at", Utc, nullable=False),
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """One version of a scene; `newest` is the number of the last one, `digest` the SHA-256 of the content."""

    scene_id: str
    name: str
    version: int
    newest: int
    made_by: str
    saved_by: str
    saved_at: dt.datetime
    copy_of: str | None
    digest: str
    content: Mapping[str, Any]

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose scene it is."""
        return (self.made_by,)


@dataclass(frozen=True)
class Saved:
    """Where a scene was kept. `copied`: beside the one it was meant for, which holds what somebody else saved."""

    scene_id: str
    version: int
    copied: bool


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a content's canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Scenes:
    """The scenes of a store; every user of the explorer who may open scenes may open any by its id."""

    def __init__(self, store: ExplorerStore) -> None:
        self._store = store

    def save(
        self, user: str, name: str, content: Mapping[str, Any], *, scene_id: str | None = None, base: int | None = None
    ) -> Saved:
        """Keep a content: as a new scene, or as the next version of one.

        If the scene is not the user's, or has got another version than `base` meanwhile (a second tab), the content
        becomes a scene of its own beside it: both are kept.
        """
        now = dt.datetime.now(dt.UTC)
        with self._store.writing() as connection:
            found = None
            if scene_id is not None:
                found = connection.execute(
                    select(SCENES).where(SCENES.c.scene_id == scene_id).with_for_update()
                ).first()
            if found is not None and found.made_by == user and found.version == base:
                connection.execute(
                    update(SCENES).where(SCENES.c.scene_id == scene_id).values(name=name, version=found.version + 1)
                )
                _keep(connection, found.scene_id, found.version + 1, content, user, now)
                return Saved(found.scene_id, found.version + 1, copied=False)
            made = secrets.token_urlsafe(_ID_BYTES)
            copy_of = found.scene_id if found is not None else None
            connection.execute(
                insert(SCENES).values(scene_id=made, name=name, made_by=user, made_at=now, version=1, copy_of=copy_of)
            )
            _keep(connection, made, 1, content, user, now)
            return Saved(made, 1, copied=found is not None)

    def read(self, scene_id: str, version: int | None = None) -> Scene | None:
        """Return a version of a scene, the newest by default; None where there is none."""
        with self._store.reading() as connection:
            kept = SCENE_VERSIONS.c
            rows = connection.execute(
                select(SCENES, kept.version.label("kept"), kept.content, kept.digest, kept.saved_by, kept.saved_at)
                .join(SCENE_VERSIONS, kept.scene_id == SCENES.c.scene_id)
                .where(SCENES.c.scene_id == scene_id)
                .where(kept.version == (SCENES.c.version if version is None else version))
            ).first()
        return None if rows is None else _scene(rows._mapping)

    def of(self, user: str, limit: int = 50) -> tuple[Scene, ...]:
        """Return a user's scenes at their newest version, last saved first."""
        with self._store.reading() as connection:
            kept = SCENE_VERSIONS.c
            rows = connection.execute(
                select(SCENES, kept.version.label("kept"), kept.content, kept.digest, kept.saved_by, kept.saved_at)
                .join(SCENE_VERSIONS, (kept.scene_id == SCENES.c.scene_id) & (kept.version == SCENES.c.version))
                .where(SCENES.c.made_by == user)
                .order_by(kept.saved_at.desc(), SCENES.c.scene_id)
                .limit(limit)
            ).all()
        return tuple(_scene(row._mapping) for row in rows)


def _keep(
    connection: Connection, scene_id: str, version: int, content: Mapping[str, Any], user: str, now: dt.datetime
) -> None:
    kept = {"content": dict(content), "digest": digest(content), "saved_by": user, "saved_at": now}
    connection.execute(insert(SCENE_VERSIONS).values(scene_id=scene_id, version=version, **kept))


def _scene(row: Mapping[Any, Any]) -> Scene:
    return Scene(
        scene_id=row["scene_id"], name=row["name"], version=row["kept"], newest=row["version"], made_by=row["made_by"],
        saved_by=row["saved_by"], saved_at=row["saved_at"], copy_of=row["copy_of"], digest=row["digest"],
        content=row["content"],
    )  # fmt: skip
