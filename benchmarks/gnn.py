"""Sampling, training and scoring at 10⁶ nodes and 2·10⁷ edges: seeds a second, nodes a second, memory.

Each part runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import description
from gnn.data.store import NodeSet, Store, open_store, relation, write_store

RESULTS = Path(__file__).parent / "results" / "gnn.json"
NODES, EDGES, FEATURES, HIDDEN = 1_000_000, 20_000_000, 16, 64
FANOUTS = [15, 10]
YEAR = 365 * 86_400_000_000


def make(folder: Path) -> None:
    """Write a graph with hubs: one end of each edge is drawn by a power law, times evenly over a year."""
    rng = np.random.default_rng(0)
    src = (NODES * rng.random(EDGES // 2) ** 2).astype(np.int64)
    dst = rng.integers(0, NODES, EDGES // 2)
    since = rng.integers(0, YEAR, EDGES // 2)
    x = rng.normal(size=(NODES, FEATURES)).astype(np.float32)
    both = np.concatenate([src, dst]), np.concatenate([dst, src])
    made = relation("KNOWS", "node", "node", both, NODES, np.concatenate([since, since]))
    nodes = NodeSet("node", NODES, tuple(f"x{i}" for i in range(FEATURES)), x)
    write_store(Store({"node": nodes}, (made,)), folder)


def _seeds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, NODES, n), rng.integers(YEAR // 2, YEAR, n)


def _sampling(store: Store, half_life: float | None) -> dict[str, Any]:
    from gnn.sampling.temporal import TemporalSampler

    sampler = TemporalSampler(store, FANOUTS, half_life_days=half_life)
    sampler.sample("node", *_seeds(1024, 0))  # compiles
    begun, nodes = time.perf_counter(), 0
    for k in range(100):
        nodes += len(sampler.sample("node", *_seeds(1024, k)).nodes["node"].rows)
    seconds = time.perf_counter() - begun
    return {"seeds_per_s": round(102_400 / seconds), "nodes_per_seed": round(nodes / 102_400, 1)}


def sampling(store: Store) -> dict[str, Any]:
    return {"uniform": _sampling(store, None), "recency": _sampling(store, 30.0)}


def training(store: Store) -> dict[str, Any]:
    import torch

    from gnn.models.inputs import from_batch
    from gnn.models.sage import Sage
    from gnn.sampling.temporal import TemporalSampler

    torch.manual_seed(0)
    model = Sage.for_store(store, "node", hidden=HIDDEN, layers=2)
    optimizer, sampler = torch.optim.AdamW(model.parameters()), TemporalSampler(store, FANOUTS)

    def step(k: int) -> None:
        optimizer.zero_grad()
        logits = model(from_batch(store, sampler.sample("node", *_seeds(1024, k))))
        torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.ones(len(logits))).backward()
        optimizer.step()

    step(0)
    begun = time.perf_counter()
    for k in range(20):
        step(k)
    return {"seeds_per_s": round(20_480 / (time.perf_counter() - begun)), "hidden": HIDDEN}


def _scoring(store: Store, fanouts: list[int], batches: int) -> dict[str, Any]:
    import torch

    from gnn.inference.layerwise import score_all
    from gnn.models.inputs import from_batch
    from gnn.models.sage import Sage
    from gnn.sampling.temporal import TemporalSampler

    torch.manual_seed(0)
    model = Sage.for_store(store, "node", hidden=HIDDEN, layers=len(fanouts)).eval()
    score_all(model, store, YEAR, chunk=100_000)  # compiles, and reads the file once
    begun = time.perf_counter()
    score_all(model, store, YEAR)
    layerwise = NODES / (time.perf_counter() - begun)
    sampler = TemporalSampler(store, fanouts)
    with torch.no_grad():
        model(from_batch(store, sampler.sample("node", *_seeds(1024, 0))))
        begun = time.perf_counter()
        for k in range(batches):
            model(from_batch(store, sampler.sample("node", *_seeds(1024, k))))
    sampled = batches * 1024 / (time.perf_counter() - begun)
    return {
        "layerwise_nodes_per_s": round(layerwise), "sampled_nodes_per_s": round(sampled), "fanouts": fanouts,
        "ratio": round(layerwise / sampled, 1), "hidden": HIDDEN,
    }  # fmt: skip


def scoring(store: Store) -> dict[str, Any]:
    """Every node from all its neighbors layer by layer, beside every node from its own sampled neighborhood."""
    return {"2 hops": _scoring(store, FANOUTS, 20), "3 hops": _scoring(store, [*FANOUTS, 10], 4)}


def full_batch(store: Store) -> dict[str, Any]:
    """One forward pass, and one step of training, with the whole graph in memory."""
    import torch

    from gnn.models.inputs import whole
    from gnn.models.sage import Sage

    torch.manual_seed(0)
    model = Sage.for_store(store, "node", hidden=HIDDEN, layers=2).eval()
    begun = time.perf_counter()
    inputs = whole(store, "node", 2, YEAR)
    made = time.perf_counter()
    with torch.no_grad():
        model(inputs)
    scored = time.perf_counter()
    torch.nn.functional.binary_cross_entropy_with_logits(model.train()(inputs), torch.ones(NODES)).backward()
    stepped = time.perf_counter()
    return {
        "tensors_s": round(made - begun, 1), "scored_nodes_per_s": round(NODES / (scored - made)),
        "trained_nodes_per_s": round(NODES / (stepped - scored)),
    }  # fmt: skip


PARTS = {"sampling": sampling, "training": training, "scoring": scoring, "full_batch": full_batch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS))
    parser.add_argument("--store", type=Path)
    chosen = parser.parse_args()
    if chosen.part:
        told = PARTS[chosen.part](open_store(chosen.store))
        told["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
        print(json.dumps(told))
        return
    whole: dict[str, Any] = {
        "machine": description(), "graph": {"nodes": NODES, "edges": EDGES, "features": FEATURES}, "fanouts": FANOUTS,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "store")
        for part in PARTS:
            command = [sys.executable, "-m", "benchmarks.gnn", "--part", part, "--store", f"{folder}/store"]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            whole[part] = json.loads(said.strip().splitlines()[-1])
            print(part, json.dumps(whole[part]))
    compiled = [name for name in ("pyg_lib", "torch_sparse") if importlib.util.find_spec(name)]
    whole["pytorch_geometric_own_sampler"] = (
        compiled or "not measured: it needs pyg-lib or torch-sparse, neither is there"
    )
    RESULTS.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
