"""The neutral node-classification file: what is read, and what is refused by name before any training."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gnn.__main__ import app
from gnn.benchmark import MODELS, figures, race, summary
from gnn.data.store import ALWAYS
from gnn.neutral import NODE, BadFileError, read_task


def _world(n: int = 240, seed: int = 0) -> dict[str, np.ndarray]:
    """Two halves: who is fraud knows mostly fraud; own features say little."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(np.int64)
    ends = rng.integers(0, n, (2, 12 * n))
    alike = (y[ends[0]] == y[ends[1]]) | (rng.random(12 * n) < 0.15)
    part = rng.random((2, n))
    x = rng.normal(size=(n, 4)).astype(np.float32)
    x[:, 0] += y * 0.7
    return {
        "x": x, "edge_index": ends[:, alike], "y": y,
        "train_mask": part < 0.5, "val_mask": (part >= 0.5) & (part < 0.75), "test_mask": part >= 0.75,
    }  # fmt: skip


def _file(tmp_path, **changed):
    arrays = _world() | changed
    path = tmp_path / "task.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_each_undirected_pair_is_one_edge_with_its_earliest_time(tmp_path):
    ends = np.array([[0, 1, 2, 2, 3], [1, 0, 2, 3, 2]])
    path = _file(tmp_path, edge_index=ends, edge_time=np.array([9, 4, 1, 7, 8]))
    only = read_task(path).store.relations[0]
    assert len(only) == 4  # 0-1 and 2-3, each both ways; the loop is gone
    assert only.since[only.indptr[0] : only.indptr[1]].tolist() == [4_000_000]
    assert only.since[only.indptr[2] : only.indptr[3]].tolist() == [7_000_000]


def test_edge_types_become_relations_and_edges_without_times_were_always_there(tmp_path):
    world = _world()
    kinds = np.arange(world["edge_index"].shape[1]) % 3
    relations = read_task(_file(tmp_path, edge_type=kinds)).store.relations
    assert [rel.name for rel in relations] == ["type_0", "type_1", "type_2"]
    assert (relations[0].since == ALWAYS).all()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"y": None}, "lacks the array 'y'"),
        ({"x": np.full((240, 4), np.nan, np.float32)}, "240 of 240 rows hold NaN or infinity"),
        ({"edge_index": np.array([[0], [240]])}, "names nodes from 0 to 240; there are 240"),
        ({"y": np.full(240, 2)}, "y must be 1, 0, or -1"),
        ({"y": np.ones(240, int)}, "both 0 and 1 are needed"),
        ({"test_mask": np.ones((2, 240), bool)}, "nodes are in val_mask and in test_mask"),
        ({"val_mask": np.ones((3, 240), bool)}, "different numbers of splits"),
        ({"train_mask": np.ones((2, 9), bool)}, "must be bool (S, 240)"),
        ({"edge_type": np.array([1])}, "one for each edge"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_by_the_name_of_its_array(tmp_path, changed, says):
    with pytest.raises(BadFileError) as told:
        read_task(_file(tmp_path, **changed))
    assert says in str(told.value)


def test_a_graph_without_edges_is_raced_all_the_same(tmp_path):
    task = read_task(_file(tmp_path, edge_index=np.empty((2, 0), np.int64)))
    told = {name: row for _, name, row in race(task, ["trees", "trees-neighbors", "sage-mean"])}
    assert all(0 <= row["auc"] <= 1 for row in told.values())


def test_figures_are_those_of_a_plain_count():
    scores, y = np.array([0.9, 0.8, 0.7, 0.1, 0.5]), np.array([1, 0, 1, 0, 1])
    part = np.array([True, True, True, True, False])
    told = figures(scores, y, part)
    assert told["auc"] == pytest.approx(3 / 4)  # pairs of a positive above a negative
    assert told["ap"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert told["recall_at_k"] == pytest.approx(1 / 2)


def test_models_that_see_neighbors_win_where_neighbors_tell(tmp_path):
    task = read_task(_file(tmp_path))
    told = summary(list(race(task, ["logistic", "trees-neighbors-labels", "sage-mean", "stack"])))["models"]
    assert set(told) == {"logistic", "trees-neighbors-labels", "sage-mean", "stack", "selected"}
    for name in ("trees-neighbors-labels", "sage-mean", "selected"):
        assert told[name]["auc"]["mean"] > told["logistic"]["auc"]["mean"] + 0.1


def test_no_model_learns_from_labels_of_the_test_part(tmp_path):
    """The labels of the test part turned around: every score stays."""
    world = _world()
    turned = np.where(world["test_mask"][0], 1 - world["y"], world["y"])
    one, two = (read_task(_file(tmp_path, y=y, **{k: world[k][:1] for k in ("train_mask", "val_mask", "test_mask")}))
                for y in (world["y"], turned))  # fmt: skip
    from gnn.benchmark import Split

    a, b = Split(one, 0), Split(two, 0)
    for name in ("logistic", "trees", "trees-neighbors", "trees-neighbors-labels"):
        assert (MODELS[name](a) == MODELS[name](b)).all()
    assert one.store.relations[0].neighbor.tolist() == two.store.relations[0].neighbor.tolist()
    assert one.store.nodes[NODE].count == 240


def test_the_command_prints_a_table_and_one_last_line_of_json(tmp_path):
    told = CliRunner().invoke(
        app, ["benchmark", str(_file(tmp_path)), "--model", "logistic", "--model", "trees", "--json"]
    )
    assert told.exit_code == 0, told.output
    last = json.loads(told.output.strip().splitlines()[-1])
    assert set(last["models"]) == {"logistic", "trees", "selected"}
    assert set(last["models"]["trees"]) == {"auc", "ap", "recall_at_k", "seconds"}
    assert set(last["models"]["trees"]["auc"]) == {"mean", "sd"}


@pytest.mark.parametrize(("name", "says"), [("sage", "There is no model sage"), ("stack", "name at least one more")])
def test_an_unknown_model_and_a_stack_of_nothing_are_refused(tmp_path, name, says):
    told = CliRunner().invoke(app, ["benchmark", str(_file(tmp_path)), "--model", name])
    assert told.exit_code == 1
    assert "Traceback" not in told.output
    assert says in " ".join(told.output.split())
