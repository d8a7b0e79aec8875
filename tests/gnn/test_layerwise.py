"""Scoring everybody layer by layer, against the whole graph at once."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import SimpleConv

from gnn.inference import layerwise, on_spark
from gnn.inference.layerwise import score_all
from gnn.models.inputs import age_code, whole
from gnn.models.sage import Sage
from gnn.sampling.temporal import NO_TIME
from tests.gnn.worlds import random_store


@pytest.mark.parametrize("aggregation", ["mean", "attention"])
@pytest.mark.parametrize("time", [-9, 40, NO_TIME])
@pytest.mark.parametrize("chunk", [3, 100])
def test_layer_by_layer_scores_are_those_of_the_whole_graph_at_once(aggregation, time, chunk, monkeypatch, tmp_path):
    monkeypatch.setattr(layerwise, "_EDGES", 7)  # so that parts of a chunk are met too
    store = random_store(3, edges=150)
    torch.manual_seed(1)
    model = Sage.for_store(store, "person", hidden=8, layers=3, aggregation=aggregation).eval()
    with torch.no_grad():
        full = model(whole(store, "person", 3, time)).numpy()
    assert np.abs(score_all(model, store, time, chunk=chunk, scratch=tmp_path) - full).max() < 1e-5
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_the_scores_are_those_of_pytorch_geometric_s_own_mean_over_each_relation():
    store = random_store(4, edges=100, ended=False)
    torch.manual_seed(0)
    model = Sage.for_store(store, "person", hidden=8, layers=2).eval()
    mean = SimpleConv(aggr="mean")
    with torch.no_grad():
        h = {name: model.entered(name, x) for name, x in whole(store, "person", 2).x.items()}
        for layer in model.layers:
            normed = {name: layer.norm[name](state) for name, state in h.items()}
            z = {name: layer.own[name](state) for name, state in normed.items()}
            for i, rel in enumerate(store.relations):
                sizes = torch.from_numpy(np.diff(rel.indptr))
                dst = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
                index = torch.stack([torch.from_numpy(rel.neighbor.astype(np.int64)), dst])
                of_edges = age_code(np.array([3650.0]))  # asked without a time, every edge is of one age
                z[rel.dst] = z[rel.dst] + layer.of_neighbors[i](mean((normed[rel.src], normed[rel.dst]), index))
                z[rel.dst] = z[rel.dst] + layer.of_age[i](of_edges) * (sizes > 0)[:, None]
            h = {name: h[name] + layer.out[name](torch.nn.functional.gelu(z[name])) for name in h}
        theirs = model.leave(h["person"]).squeeze(1).numpy()
    assert np.abs(score_all(model, store) - theirs).max() < 1e-5


@pytest.mark.parametrize("time", [40, NO_TIME])
def test_on_spark_the_scores_are_the_same(spark, time, tmp_path):
    store = random_store(3, edges=150)
    torch.manual_seed(1)
    model = Sage.for_store(store, "person", hidden=8, layers=2).eval()
    rows = on_spark.score_all(model, spark, store, tmp_path / "scratch", time).collect()
    assert [row["row"] for row in sorted(rows)] == list(range(12))
    logits = np.array([row["logit"] for row in sorted(rows)])
    assert np.abs(logits - score_all(model, store, time)).max() < 1e-4


def test_a_model_that_attends_is_refused_on_spark(spark, tmp_path):
    store = random_store(3)
    model = Sage.for_store(store, "person", hidden=8, layers=1, aggregation="attention")
    with pytest.raises(on_spark.NotOnSparkError, match="aggregate by the mean"):
        on_spark.score_all(model, spark, store, tmp_path)
