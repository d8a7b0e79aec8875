"""Training on windows of time: who is learned from, runs that are cut off, models as files, the race to the gate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from gnn.champion.command import promote
from gnn.data.store import NEVER, NodeSet, Store, StoreError, open_store, relation, write_store
from gnn.explanations import explained, strongest
from gnn.training.contenders import CONTENDERS, Work, trained
from gnn.training.models import ModelError, bounded_logit, load
from gnn.training.parts import PartsError, parts, read_seeds, with_repayment
from gnn.training.race import UnknownContenderError, run
from gnn.training.sage import CheckpointError, DeviceError, Examples, SageSettings, train
from tests.gnn.worlds import DAY, FIRST, after, labeled_world

SMALL = SageSettings.model_validate({"hidden": 8, "fanouts": (4, 4), "batch": 64, "epochs": 4, "patience": 3})


def _work(folder: Path, **more) -> Work:
    store, seeds = labeled_world()
    return Work(store, seeds, parts(seeds, after(30), after(40), after(44)), folder, SMALL, **more)


def test_labels_learned_from_were_known_on_the_day_and_the_test_is_later():
    _, seeds = labeled_world()
    found = parts(seeds, after(30), after(40), after(44))
    at, since = (seeds[name].to_numpy() for name in ("at", "label_since"))
    day = np.array([0, 30, 40, 44]) * DAY + FIRST
    assert at[found.train].max() <= day[1] < at[found.validation].min()
    assert at[found.validation].max() <= day[2]
    assert since[found.train | found.validation].max() <= day[3] < at[found.test].min()


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ((40, 30, 44), "end before validation"),
        ((30, 40, 35), "no later than the day labels are taken"),
        ((0.1, 40, 44), "train part has"),
    ],
)
def test_windows_that_cannot_be_used_are_refused(days, says):
    with pytest.raises(PartsError, match=says):
        parts(labeled_world()[1], *(after(d) for d in days))


def test_one_class_only_is_refused_before_any_training():
    seeds = labeled_world()[1].with_columns(label=pl.lit(1, pl.Int8))
    with pytest.raises(PartsError, match="0 normal"):
        parts(seeds, after(30), after(40))


def test_what_was_missed_and_paid_later_was_missed():
    nodes = NodeSet(
        "Application", 4, facts=("missed", "paid"), known=np.array([[5, 9], [NEVER, 3], [NEVER, NEVER], [9, 5]])
    )
    seeds = pl.DataFrame({"node": [0, 1, 2, 3]})
    told = with_repayment(seeds, Store({"Application": nodes}, ()))
    assert told["label"].to_list() == [1, 0, -1, 0]
    assert told["label_since"].to_list() == [5, 3, NEVER, 5]


def _examples(seeds: pl.DataFrame, mask: np.ndarray) -> Examples:
    some = seeds.filter(pl.Series(mask))
    return Examples(*(some[name].cast(pl.Int64).to_numpy() for name in ("node", "at", "label")))


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(tmp_path):
    work = _work(tmp_path)
    learn, check = (_examples(work.seeds, part) for part in (work.parts.train, work.parts.validation))

    class CutOffError(Exception):
        pass

    def cut(epoch: int, loss: float, auc: float) -> None:
        if epoch == 1:
            raise CutOffError

    whole = train(work.store, "Application", learn, check, SMALL, tmp_path / "whole")
    with pytest.raises(CutOffError):
        train(work.store, "Application", learn, check, SMALL, tmp_path / "cut", told=cut)
    seen: list[int] = []
    resumed = train(work.store, "Application", learn, check, SMALL, tmp_path / "cut", resume=True,
                    told=lambda epoch, loss, auc: seen.append(epoch))  # fmt: skip
    assert seen[0] == 2
    for name, value in whole.state_dict().items():
        assert (resumed.state_dict()[name] == value).all()


def test_a_checkpoint_of_another_schema_or_other_settings_is_refused_by_name(tmp_path):
    work = _work(tmp_path)
    learn, check = (_examples(work.seeds, part) for part in (work.parts.train, work.parts.validation))
    once = SMALL.model_copy(update={"epochs": 1})
    train(work.store, "Application", learn, check, once, tmp_path)
    other = Store(work.store.nodes, work.store.relations[:1], work.store.about)
    with pytest.raises(CheckpointError, match="other labels, features or relations"):
        train(other, "Application", learn, check, once, tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="other settings"):
        train(work.store, "Application", learn, check, SMALL, tmp_path, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="cannot be read"):
        train(work.store, "Application", learn, check, once, tmp_path, resume=True)


@pytest.fixture(scope="module")
def race(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Every contender trained once; what `gnn train` leaves, on disk."""
    folder = tmp_path_factory.mktemp("race")
    store, seeds = labeled_world()
    write_store(store, folder / "store", beside={"seeds.parquet": seeds.to_arrow()})
    opened, read = open_store(folder / "store"), read_seeds(folder / "store")
    work = Work(opened, read, parts(read, after(30), after(40), after(44)), folder / "race", SMALL)
    done = list(run(work, list(CONTENDERS), 0.2))
    assert [result.kind for result in done] == list(CONTENDERS)
    return work


def test_contenders_that_see_the_graph_win_where_the_graph_tells(race):
    from sklearn.metrics import average_precision_score

    test = race.parts.test
    ap = {name: average_precision_score(race.labels[test], scores[test]) for name, scores in race.scores.items()}
    for name in ("trees_graph", "trees_sage", "stack"):
        assert ap[name] > 1.5 * ap["trees"]


@pytest.mark.parametrize("kind", list(CONTENDERS))
def test_a_model_read_from_its_files_scores_as_it_did(race, kind):
    again = load(race.folder / kind / "model").score(race.store, race.seeds)
    assert np.abs(bounded_logit(again) - bounded_logit(race.scores[kind])).max() < 1e-5


def test_a_model_refuses_a_store_of_another_schema(race):
    other = Store(race.store.nodes, race.store.relations[:1])
    with pytest.raises(ModelError, match="other labels, features or relations"):
        load(race.folder / "sage_mean" / "model").score(other, race.seeds)


@pytest.mark.parametrize("kind", ["trees_graph", "trees_sage", "logistic"])
def test_contributions_of_trees_and_linear_models_sum_to_the_score(race, kind):
    told = explained(race.done[kind], race.store, race.seeds)
    logits = bounded_logit(race.scores[kind])
    assert max(abs(why.logit - logit) for why, logit in zip(told, logits, strict=True)) < 1e-6


@pytest.mark.parametrize("kind", ["sage_mean", "stack"])
def test_contributions_of_graphsage_and_the_stack_sum_to_the_score_but_for_an_error_that_is_told(race, kind):
    few = race.seeds.tail(4)
    scores = bounded_logit(race.scores[kind])[-4:]
    for why, score in zip(explained(race.done[kind], race.store, few), scores, strict=True):
        assert abs(why.logit - score) <= why.error + 1e-6
        assert why.error < 0.1
        assert abs(why.reasons[0].contribution) >= abs(why.reasons[-1].contribution)


def test_the_reasons_of_a_crowded_handset_name_the_crowd(race):
    crowded = race.seeds.filter(pl.col("device_neighbor_count") >= 3).head(3)
    for told in explained(race.done["trees_graph"], race.store, crowded):
        best = strongest(told)[0]
        assert best.text.startswith("other persons seen on the app device: ")
        assert best.contribution > 0


def test_a_trained_model_goes_through_the_gate_and_a_worse_one_does_not(race, tmp_path, monkeypatch):
    from rich.console import Console

    monkeypatch.setenv("GATE_MIN_POSITIVES", "10")
    registry = tmp_path / "models"
    assert promote(race.folder / "trees_graph", registry, Console(), budget=0.3)
    assert not promote(race.folder / "logistic", registry, Console(), budget=0.3)
    for name in ("roc", "pr", "ks", "calibration"):
        assert (race.folder / "trees_graph" / "plots" / f"{name}.png").stat().st_size > 5_000


def test_an_unknown_contender_is_refused_before_any_training(tmp_path):
    with pytest.raises(UnknownContenderError, match="There is no forest"):
        list(run(_work(tmp_path), ["trees", "forest"], 0.1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_no_number_is_refused_before_any_training(tmp_path, bad):
    work = _work(tmp_path)
    x = np.array(work.store.nodes["Application"].x)
    x[3, 0] = bad
    nodes = work.store.nodes | {"Application": replace(work.store.nodes["Application"], x=x)}
    work = replace(work, store=Store(nodes, work.store.relations, work.store.about))
    with pytest.raises(StoreError, match="of Application is not at row 3"):
        list(run(work, ["trees"], 0.1))
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    work = _work(tmp_path)
    learn, check = (_examples(work.seeds, part) for part in (work.parts.train, work.parts.validation))
    with pytest.raises(DeviceError, match="finds none"):
        train(work.store, "Application", learn, check, SMALL.model_copy(update={"device": "cuda"}), tmp_path)


def test_a_later_verdict_or_edge_changes_no_score(race):
    """The planted future: handsets that tell all, but only after every application was made."""
    store, seeds = race.store, race.seeds
    late = np.asarray(store.relations[0].since) + 90 * DAY
    n = store.nodes["Application"].count
    ends = np.arange(n), np.zeros(n, int)
    leaky = []
    for i, rel in enumerate(store.relations):
        since = np.concatenate([rel.since, late])
        leaky.append(relation(rel.name, rel.src, rel.dst, _with(rel, ends, i), store.nodes[rel.dst].count, since))
    model = race.done["sage_mean"]
    assert (model.score(Store(store.nodes, tuple(leaky)), seeds) == model.score(store, seeds)).all()
    assert trained(race, "sage_mean") is model


def _with(rel, ends, i):
    dst = np.repeat(np.arange(len(rel.indptr) - 1), np.diff(rel.indptr))
    more = ends[::-1] if i == 0 else ends
    return np.concatenate([rel.neighbor, more[0]]), np.concatenate([dst, more[1]])
