"""The explorer on a world of its own, served as users get it: gunicorn, Neo4j, lake, keys, store, fifty analysts."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from algorithms.contact.settings import QueueSettings
from benchmarks.explorer_world import HUB, NIGHT, draw_nodes, node_id, write_lake, write_world
from explorer.accounts import invented, users_alone
from explorer.background import Background
from explorer.rights import Role
from explorer.rings.picture import named_steps
from explorer.store import ExplorerStore
from graph.bulk import build_store, publish
from graph.lake import Lake
from graph.reader import GraphReader
from graph.server import LocalServer, free_port
from graph.settings import Neo4jSettings, PlatformSettings
from graph.tokens import Keys

ANALYSTS = 50
HEAP = PAGE_CACHE = "1g"
_STORE = "world"
_OWN = ("EXPLORER_", "NEO4J_", "CREDIT_GRAPH_")


@dataclass
class Stand:
    """What is measured: `folder` holds all of it, `world` tells how large it is."""

    folder: Path
    scale: float
    cache: Path
    world: dict[str, Any] = field(default_factory=dict)
    peaks_gb: dict[str, float] = field(default_factory=dict)

    @cached_property
    def neo4j(self) -> LocalServer:
        """The Neo4j, on a port of its own."""
        settings = Neo4jSettings(
            uri=None, home=self.folder / "neo4j", port=free_port(), heap=HEAP, page_cache=PAGE_CACHE
        )
        return LocalServer(settings, self.cache)

    @cached_property
    def explorer(self) -> Background:
        """The explorer, on a port of its own."""
        return Background(self.folder, f"http://127.0.0.1:{free_port()}")

    @property
    def url(self) -> str:
        """Where it is served."""
        return self.explorer.url

    @property
    def platform(self) -> PlatformSettings:
        """Lake, keys and models."""
        keys, lake, models = (self.folder / name for name in ("keys.json", "lake", "models"))
        return PlatformSettings(cache=self.cache, keys=keys, lake=lake, models=models)

    @cached_property
    def users(self) -> list[tuple[str, str]]:
        """Names and passwords of the analysts."""
        return [(name, password) for name, password in json.loads((self.folder / "users.json").read_text())]

    def make(self) -> None:
        """Make world, store, lake and users, unless an earlier run left them in the folder."""
        told = self.folder / "world.json"
        if told.exists():
            self.world = json.loads(told.read_text())
            if self.world["scale"] != self.scale:
                raise SystemExit(f"{self.folder} holds a world of scale {self.world['scale']:g}: take another folder.")
            return
        begun = time.monotonic()
        counts = write_world(self.folder / "import", self.scale)
        written = time.monotonic() - begun
        load = {"night": NIGHT, "lake": "bench", "versions": "{}"}
        built = build_store(self.neo4j, self.folder / "import", _STORE, counts, load)
        publish(self.neo4j, _STORE)
        self.neo4j.stop()
        shutil.rmtree(self.folder / "import")
        write_lake(Lake(self.platform.lake), Keys.create(self.platform.keys), self.scale)
        self._make_users()
        size = sum(path.stat().st_size for path in self.neo4j.store_path(_STORE).rglob("*") if path.is_file())
        self.world = {
            "scale": self.scale, "nodes": sum(built.nodes.values()), "edges": sum(built.edges.values()),
            "tables": {name: count for name, count in (built.nodes | built.edges).items() if count},
            "store_gb": round(size / 1e9, 2), "written_seconds": round(written, 1),
            "import_seconds": round(built.import_seconds, 1), "build_seconds": round(built.seconds, 1),
        }  # fmt: skip
        told.write_text(json.dumps(self.world))

    def _make_users(self) -> None:
        store = ExplorerStore(QueueSettings().url(self.platform.lake))
        store.make()
        users = [(f"analyst {n:02}", invented()) for n in range(ANALYSTS)]
        with users_alone(store) as accounts:
            for name, password in users:
                accounts.add(name, [Role.ANALYST], password)
        store.engine.dispose()
        with os.fdopen(os.open(self.folder / "users.json", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump(users, file)

    def start(self) -> None:
        """Serve; what already runs goes on."""
        self.neo4j.start()
        if self.explorer.running() is not None:
            return
        platform = self.platform
        self.explorer.start({
            "EXPLORER_PORT": self.url.rsplit(":", 1)[1], "CREDIT_GRAPH_KEYS": str(platform.keys),
            "CREDIT_GRAPH_LAKE": str(platform.lake), "CREDIT_GRAPH_MODELS": str(platform.models),
            "NEO4J_HOME": str(self.neo4j.home), "NEO4J_PORT": str(self.neo4j.settings.port), "NEO4J_HEAP": HEAP,
            "NEO4J_PAGE_CACHE": PAGE_CACHE,
        })  # fmt: skip

    def cool(self) -> None:
        """Start Neo4j anew with nothing of its store in memory: neither its own cache nor the system's holds a page."""
        self.note_memory()
        self.neo4j.stop()
        for path in self.neo4j.store_path(_STORE).rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.neo4j.start()

    def warm(self) -> dict[str, float]:
        """Ask all that the figures ask without a time limit, so that Neo4j has made its plans; some nodes of each kind.

        Returns the seconds of the first layer of each label.
        """
        seconds: dict[str, float] = {}
        with self.neo4j.driver() as driver:
            reader = GraphReader(driver, timeout_s=600)
            for label, id in [*draw_nodes(self.scale, 8, seed=9), *[("Phone", node_id("phone", HUB))] * 3]:
                begun = time.monotonic()
                reader.node(label, id)
                reader.counts(label, id)
                reader.layer(label, id)
                seconds.setdefault(label, round(time.monotonic() - begun, 2))
            reader.every_ring()
            ring = reader.ring(node_id("ring", 0))
            assert ring is not None
            reader.ring_links(ring.id, named_steps(ring))
        return seconds

    def stop(self) -> None:
        """End both servers."""
        self.note_memory()
        self.explorer.stop()
        self.neo4j.stop()

    def note_memory(self) -> None:
        """Keep the most memory that each server has held so far, as the system counts it (resident, high water)."""
        master, pid = self.explorer.running(), self.neo4j.status().pid
        explorer = [master.pid, *(child.pid for child in master.children(recursive=True))] if master else []
        for name, pids in {"explorer": explorer, "neo4j": [pid] if pid else []}.items():
            found = sum(_high_water(one) for one in pids)
            self.peaks_gb[name] = max(self.peaks_gb.get(name, 0.0), round(found / 1e9, 2))


@contextmanager
def served(folder: Path, scale: float) -> Iterator[Stand]:
    """Make the world where it is not there yet, serve it, and end what was started."""
    for name in [name for name in os.environ if name.startswith(_OWN) and name != "CREDIT_GRAPH_CACHE"]:
        del os.environ[name]  # what is measured are the settings that everybody gets
    folder.mkdir(parents=True, exist_ok=True)
    stand = Stand(folder.absolute(), scale, PlatformSettings().cache)
    try:
        stand.make()
        stand.start()
        yield stand
    finally:
        stand.stop()


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return psutil.Process(pid).memory_info().rss if psutil.pid_exists(pid) else 0
