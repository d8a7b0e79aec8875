"""How the registry looks: the champion's card and pictures, challengers, the ledger, the watch, the catalog."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dash import dcc, html

from explorer.model.catalog import Check, Entry
from explorer.model.models import PLOTS, Models
from explorer.night.lights import Told
from explorer.parts import Color, card, command, facts, light, table
from explorer.words import has, moment, ratio, say, written

_METRICS = ("auc", "ap", "ks", "recall_at_budget", "precision_at_budget", "brier", "ece")
_COUNTS = ("n", "positives", "alerts")
_STATUS: dict[str, Color] = {"ok": "green", "warn": "amber", "alarm": "red"}
_WATCHED = 14  # nights


def no_model(lake: object, day: dt.date) -> Any:
    """Return what stands where no model was registered: the way to one, from the newest night's day."""
    steps = [
        html.Li([say(f"model.step_{name}"), command(text)])
        for name, text in (
            ("install", "make models"), ("data", f"python -m gnn data --date {day} --lake {lake} --out store"),
            ("train", "python -m gnn train --help"), ("promote", "python -m gnn promote --help"),
        )
    ]  # fmt: skip
    said = [html.P(html.Strong(say("model.none_yet"))), html.P(say("model.none_yet_next"))]
    return card(say("model.card"), *said, html.Ol(steps))


def model_card(models: Models, version: str) -> Any:
    """Return the card of a model, whether it is as it was registered, and its pictures."""
    found = models.card(version)
    role = say("model.is_champion") if version == models.champion else say("model.is_not_champion")
    title = say("model.card_of", version=version)
    if found is None:
        return card(title, light("red", say("model.damaged", file="card.json")), html.P(say("model.damaged_next")))
    changed = models.first_changed(version, found)
    said = light("green", say("model.verified", count=len(found["files"]))) if changed is None else light(
        "red", say("model.damaged", file=changed))  # fmt: skip
    windows = [(say(f"model.window_{name}"), _window(found[name])) for name in ("training", "validation", "test")]
    metrics: Mapping[str, Any] = found["metrics"]
    figures = [(say(f"model.metric_{name}"), _figure(name, metrics[name])) for name in _METRICS if name in metrics]
    counts = [(say(f"model.count_{name}"), written(metrics[name])) for name in _COUNTS if name in metrics]
    if "budget" in metrics:
        counts.append((say("model.budget"), ratio(float(metrics["budget"]), 2)))
    made = [
        (say("model.kind"), _kind(str(found["kind"]))), (say("model.made_at"), moment(_at(found["made_at"]))),
        (say("model.features"), written(len(found["features"]))),
        (say("model.seeds"), ", ".join(str(seed) for seed in found["seeds"])),
        (say("model.data"), html.Code(str(found["data_digest"])[:16])),
        (say("model.schema"), html.Code(str(found["schema_digest"])[:16])),
    ]  # fmt: skip
    return card(
        title, html.P([said]), facts(figures), html.H3(say("model.how_made")), facts([*counts, *made]),
        html.H3(say("model.windows")), facts(windows), _plots(models, version, found), _more(found),
        more=html.Span(role, className="pt-quiet"), id="model-card",
    )  # fmt: skip


def _plots(models: Models, version: str, found: Mapping[str, Any]) -> Any:
    names = [name for name in PLOTS if f"plots/{name}.png" in found["files"]]
    if not names:
        return html.P(say("model.no_plots"), className="pt-quiet")
    pictures = [
        html.Figure([
            html.Img(src=f"/model/plot/{version}/{name}.png", alt=say(f"model.plot_{name}"), className="md-plot"),
            html.Figcaption(say(f"model.plot_{name}")),
        ])
        for name in names
    ]  # fmt: skip
    return html.Div(pictures, className="md-plots", id="model-plots")


def _more(found: Mapping[str, Any]) -> Any:
    settings = [(str(name), str(value)) for name, value in sorted(found["hyperparameters"].items())]
    libraries = [(str(name), str(value)) for name, value in sorted(found["libraries"].items())]
    return html.Details(
        [html.Summary(say("model.more")), html.H3(say("model.hyperparameters")), facts(settings),
         html.H3(say("model.libraries")), facts(libraries), html.H3(say("model.features")),
         html.P(", ".join(found["features"]), className="md-features")],
        className="md-more",
    )  # fmt: skip


def challengers(models: Models, shown: str) -> Any:
    """Return the registered models, what became of each, and a link to its card."""
    rows = []
    for version in models.versions:
        last = models.decision(version)
        tried = say(f"model.{last['what']}") if last else say("model.untried")
        state = light("green", say("model.champion")) if version == models.champion else light("gray", tried)
        rows.append([dcc.Link(version, href=f"/model?version={version}"), state])
    chosen = models.versions.index(shown) if shown in models.versions else None
    head = [say("model.version"), say("model.state")]
    return card(say("model.models"), table(head, rows, caption=say("model.models"), chosen=chosen), id="model-models")


def ledger(models: Models) -> Any:
    """Return the ledger, the newest line first, and whether its chain is whole."""
    rows = []
    for line in reversed(models.lines):
        why = line.get("reason") or line.get("decision", {}).get("sentence", "")
        attempt = say("model.attempt", count=line["attempt"]) if line.get("attempt", 1) > 1 else ""
        key = f"model.reason_{line.get('decision', {}).get('reason')}"
        short = html.Span(say(key), className="md-short") if has(key) else ""
        said = [short, html.Span(why, lang="en", className="pt-quiet"), html.Span(attempt, className="md-attempt")]
        at, what = (_unbroken(text) for text in (moment(_at(line["at"])), say(f"model.{line['what']}")))
        rows.append([str(line["seq"]), at, what, _unbroken(line["version"]), said])
    head = [say(f"model.{name}") for name in ("line", "at", "what", "version", "why")]
    whole = light("green", say("model.ledger_whole", count=len(models.lines))) if models.whole else light(
        "red", say("model.ledger_broken", line=models.chain.first_broken_seq))  # fmt: skip
    body = table(head, rows, caption=say("model.ledger"), numbers=frozenset({0}))
    return card(say("model.ledger"), body, more=whole, id="model-ledger")


def watch(told: Iterable[Told]) -> Any:
    """Return how the champion's scores and their calibration stood in the last nights, the newest first."""
    rows: list[list[Any]] = []
    seen: set[dt.date] = set()
    for one in told:
        figures = {figure["metric"]: figure for figure in one.details.get("figures") or ()}
        if one.stage != "scores" or one.night in seen or not figures or len(seen) == _WATCHED:
            continue
        seen.add(one.night)
        scores, outcomes = figures.get("model_scores", {}), figures.get("model_calibration", {})
        rows.append([
            say("model.night", night=one.night), _status(scores), _size(scores, "psi"), _size(scores, "ks"),
            _status(outcomes), _size(outcomes, "error"), written(outcomes.get("count")),
        ])  # fmt: skip
        if len(rows) == 1:
            sentences = [figure["sentence"] for figure in figures.values()]
    if not rows:
        return card(say("model.watch"), html.P(say("model.watch_none"), className="pt-nothing"), id="model-watch")
    head = [say(f"model.{name}") for name in ("of_night", "scores", "psi", "ks", "calibration", "error", "outcomes")]
    said = html.Ul([html.Li(sentence, lang="en", className="pt-quiet") for sentence in sentences], className="md-said")
    body = table(head, rows, caption=say("model.watch"), numbers=frozenset({2, 3, 5, 6}))
    return card(say("model.watch"), body, said, id="model-watch")


def checks(found: Sequence[Check]) -> Any:
    """Return what was looked at for leaks."""
    rows = [html.Li(light(check.color, say(check.told, **check.values))) for check in found]
    body = html.Ul(rows, className="md-checks") if rows else html.P(say("model.leak_nothing"), className="pt-nothing")
    return card(say("model.leaks"), html.P(say("model.leaks_lead"), className="pt-quiet"), body, id="model-leaks")


def tables(entries: Sequence[Entry]) -> Any:
    """Return the catalog."""
    rows = [
        [
            html.Code(f"{entry.area}/{entry.name}"), _about(entry.name), written(entry.newest), written(entry.oldest),
            html.Code(entry.as_of or "—"), written(entry.rows), str(entry.version), moment(entry.written_at),
        ]
        for entry in entries
    ]  # fmt: skip
    head = [
        say(f"model.{name}") for name in ("table", "about", "newest", "oldest", "as_of", "rows", "number", "written")
    ]
    if not rows:
        return card(say("model.catalog"), html.P(say("model.catalog_none"), className="pt-nothing"), id="model-catalog")
    body = table(head, rows, caption=say("model.catalog"), numbers=frozenset({5, 6}))
    return card(say("model.catalog"), body, id="model-catalog")


def _unbroken(text: str) -> Any:
    return html.Span(text, className="pt-nowrap")


def _about(name: str) -> str:
    key = f"model.table_{name}"
    return say(key) if has(key) else ""


def _kind(kind: str) -> str:
    key = f"model.kind_{kind}"
    return say(key) if has(key) else kind


def _window(window: Mapping[str, str]) -> str:
    ends = [_at(window[end]).date() for end in ("since", "until")]
    return say("model.window", since=ends[0], until=ends[1])


def _figure(name: str, value: Any) -> str:
    if not isinstance(value, int | float):
        return "—"
    return ratio(value, 1) if name.endswith("_budget") else f"{value:.3f}"


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _status(figure: Mapping[str, Any]) -> Any:
    status = str(figure.get("status", ""))
    return light(_STATUS.get(status, "gray"), say(f"model.status_{status}") if has(f"model.status_{status}") else "—")


def _size(figure: Mapping[str, Any], name: str) -> str:
    value = figure.get(name)
    return "—" if value is None else f"{value:.2f}"
