# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train, compare, explain
#
# A race on the store that the notebook before this one made: logistic regression and trees on what an application
# states, trees that also see the graph's features, GraphSAGE, and their weighted sum. Learned on one window of time,
# chosen on the next, judged on a later one.

# %%
import os
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from rich.console import Console
from sklearn.metrics import average_precision_score

from gnn.champion.command import promote
from gnn.data.store import open_store
from gnn.explanations import explained
from gnn.training.contenders import Work
from gnn.training.parts import parts, read_seeds
from gnn.training.race import run
from gnn.training.sage import SageSettings

if Path.cwd().name == "notebooks":
    os.chdir("..")
STORE = Path(os.environ.get("NOTEBOOK_HOME", ".local/notebooks")) / "store"
OUT = Path(mkdtemp())  # name a folder of your own to keep the models
store = open_store(STORE)
seeds = read_seeds(STORE)

# %% [markdown]
# ## Windows of time
#
# A random split would let a model learn from an applicant's future, and from the neighbors of those it is judged on.
# Labels are taken some weeks after the validation window ends: a verdict comes weeks or months after its application,
# so a fresh window holds hardly any. `gnn.training.parts.with_repayment` learns from first instalments instead.

# %%
known = seeds.filter(pl.col("label") >= 0)["at"]
first, last = (datetime.fromtimestamp(int(at) / 1e6, UTC) for at in (known.min(), known.max()))
until = [first + share * (last - first) for share in (0.35, 0.5, 0.65)]  # of training, validation, labels
windows = parts(seeds, *until)
for name in ("train", "validation", "test"):
    chosen = seeds.filter(pl.Series(getattr(windows, name)))
    print(f"{name:10} {len(chosen):6,} applications, {(chosen['label'] == 1).sum():,} fraud")

# %% [markdown]
# ## The race

# %%
settings = SageSettings.model_validate({"epochs": 12, "hidden": 32})
work = Work(store, seeds, windows, OUT, settings)
results = list(run(work, ["logistic", "trees", "trees_graph", "sage_mean", "stack"], budget=0.05))
table = pl.DataFrame([{"model": r.kind, **r.metrics} for r in results])
table.select("model", "auc", "ap", "recall_at_budget", "ece").sort("ap", descending=True)

# %% [markdown]
# How sure is the order? Draw the later window again and again, and look at how AP spreads. With a few dozen frauds the
# boxes of good models overlap: a small data set cannot tell them apart, and one should not pretend.

# %%
truth = work.labels[windows.test]
rng = np.random.default_rng(0)
draws = [rng.integers(0, len(truth), len(truth)) for _ in range(200)]
draws = [drawn for drawn in draws if truth[drawn].any()]
spread = {
    name: [average_precision_score(truth[drawn], scores[windows.test][drawn]) for drawn in draws]
    for name, scores in work.scores.items()
}
plt.boxplot(list(spread.values()), tick_labels=list(spread), whis=(5, 95), showfliers=False)
plt.axhline(truth.mean(), linestyle=":", color="gray", label="no model at all")
plt.ylabel("average precision on the later window")
_ = plt.legend()
# %% [markdown]
# Each model left a card, plots and predictions: ROC, precision and recall, KS, calibration.

# %%
best = max((r for r in results if r.kind != "stack"), key=lambda r: r.metrics["ap"])
figure, sides = plt.subplots(2, 2, figsize=(11, 9))
for side, picture in zip(sides.flat, sorted((best.folder / "plots").glob("*.png")), strict=True):
    side.imshow(plt.imread(picture))
    side.axis("off")
figure.suptitle(best.kind)
figure.tight_layout()

# %% [markdown]
# ## Champion and challenger
#
# The first model must find more frauds than chance would. Another takes its place only if it wins on a later window at
# the same number of alerts, by a paired bootstrap; where there are too few cases to tell, it does not.

# %%
console = Console(width=110, color_system=None)
promote(OUT / "trees", OUT / "registry", console, budget=0.05, store=STORE)
_ = promote(OUT / "trees_graph", OUT / "registry", console, budget=0.05, store=STORE)
# %% [markdown]
# ## Why does an application have its score?
#
# Contributions to ln(odds) sum to the score: exactly for trees and linear models, up to the error told for GraphSAGE,
# whose reasons name the links it rests on.

# %%
later = seeds.filter(pl.Series(windows.test))
for name in ("trees_graph", "sage_mean"):
    scores = work.scores[name][windows.test]
    highest = later[[int(np.argmax(scores))]]
    why = explained(work.done[name], store, highest)[0]
    print(f"{name}: {highest['application_id'][0]} has ln(odds) {why.logit:+.2f}, missed by {why.error:.1e}")
    print(f"   {why.base:+.2f}  where all applications start")
    for reason in why.reasons[:6]:
        print(f"   {reason.contribution:+.2f}  {reason.text}")
    if why.without is not None:
        link, now, left = why.without
        print(f"   without its strongest link ({link.relation}) ln(odds) falls from {now:+.2f} to {left:+.2f}")
