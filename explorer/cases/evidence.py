"""What a case rests on, as it was when it was taken in: the ring's sentences and members, the scene's version.

It holds ids, sentences and figures of the night, no plain value. Its digest tells whether it was changed, and whether
ring and scene are still as they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.scenes import Scene
from graph.rings import Ring


def digest(evidence: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an evidence's canonical JSON (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(evidence, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def gathered(ring: Ring | None, scene: Scene | None) -> dict[str, Any]:
    """Return the evidence of a ring and a scene as they are now; each may be none."""
    found: dict[str, Any] = {}
    if ring is not None:
        found["ring"] = {
            "id": ring.id, "as_of_date": str(ring.as_of_date) if ring.as_of_date else None,
            "typology": ring.typology, "size": ring.size,
            "score": ring.score, "exposure_cny": ring.exposure_cny, "members_total": ring.total,
            "sentences": [item.text for item in ring.evidence],
            "members": [[member.person_id, member.role or "member"] for member in ring.members],
        }  # fmt: skip
    if scene is not None:
        nodes = scene.content.get("nodes", [])
        found["scene"] = {
            "id": scene.scene_id, "version": scene.version, "digest": scene.digest, "name": scene.name,
            "nodes": len(nodes), "links": len(scene.content.get("edges", [])),
            "persons": sorted({str(node[1]) for node in nodes if node[0] == "Person"}),
        }  # fmt: skip
    return found


@dataclass(frozen=True)
class Compared:
    """Whether the kept evidence is whole, and what of it is otherwise now; `gone` says that the ring is not there."""

    whole: bool
    ring_changed: bool = False
    scene_changed: bool = False
    gone: bool = False

    @property
    def same(self) -> bool:
        """Whether ring and scene are as they were."""
        return not (self.ring_changed or self.scene_changed or self.gone)


def compared(kept: Mapping[str, Any], kept_digest: str, ring: Ring | None, scene: Scene | None) -> Compared:
    """Return how the kept evidence stands beside what the ring and the scene are now."""
    now = gathered(ring, scene)
    return Compared(
        whole=digest(kept) == kept_digest,
        ring_changed="ring" in kept and ring is not None and _rests_on(kept["ring"]) != _rests_on(now["ring"]),
        scene_changed=_version(kept) != _version(now),
        gone="ring" in kept and ring is None,
    )


def _rests_on(ring: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes a ring another one for a reader; its day and its figures move with every night."""
    return ring["sentences"], ring["members"]


def _version(evidence: Mapping[str, Any]) -> tuple[Any, ...]:
    scene = evidence.get("scene", {})
    return scene.get("id"), scene.get("digest")
