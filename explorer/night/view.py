"""How a run of the night looks: its state, what to do, stages, lights, reasons, and the runs before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html

from explorer.night.files import reason
from explorer.night.lights import Light, history, lights, reported
from explorer.parts import Color, card, command, duration, facts, light, table
from explorer.words import has, say
from graph.lake import Lake
from graph.ledger import Run, StageRecord

_RUN_COLORS: dict[str, Color] = {"done": "green", "running": "amber", "failed": "red", "cut_off": "red"}
_ROWS = ("rows_in", "rows_out", "rows_duplicate", "rows_quarantined")
_REASONS = 8


def screen(lake: Lake, runs: Sequence[Run], chosen: int | None, now: dt.datetime) -> Any:
    """Return all there is to say of a run (the newest unless one is chosen), with the runs beside it."""
    run = next((run for run in runs if run.number == chosen), runs[0])
    rows = reported(lake, dt.date.fromisoformat(run.night))
    found = lights(run, rows)
    return html.Div(
        [
            html.Div([_state(run, now), _stages(run, now), _reasons(run)], className="pt-column"),
            html.Div([_lights(found, history(run, rows)), _runs(runs, run, now)], className="pt-column"),
        ],
        className="pt-grid",
    )


def seconds(run: Run, now: dt.datetime) -> float | None:
    """Return how long a run took, or has taken so far."""
    begun, newest = run.stages[0].started_at, run.stages[-1]
    if begun is None or newest.started_at is None:
        return None
    end = now if newest.state == "running" else newest.started_at + dt.timedelta(seconds=newest.seconds or 0)
    return max(0.0, (end - begun).total_seconds())


def _state(run: Run, now: dt.datetime) -> Any:
    newest = run.stages[-1]
    day = dt.date.fromisoformat(run.night)
    said = say(f"night.state_{run.state}", night=day, stage=_stage(newest.stage), took=duration(seconds(run, now)))
    parts: list[Any] = []
    if run.state in ("failed", "cut_off"):
        parts += [html.P(_cause(newest)), *_verbatim(newest)]
        parts += [html.P(say("night.resume"), className="pt-quiet"), command(run.command)] if run.command else []
    elif run.state == "running" and run.holder is not None:
        held = say("night.holder", pid=str(run.holder.pid), host=run.holder.host, until=run.holder.until)
        parts.append(html.P(held, className="pt-quiet"))
    counts = _counts(run)
    if counts:
        named = {"rows_out": "rows_accepted"}  # what ingest puts out is what it accepted
        parts.append(facts((say(f"night.{named.get(name, name)}"), _number(counts[name])) for name in counts))
    color = _RUN_COLORS[run.state]
    return html.Section(
        [html.Div([light(color, ""), html.H2(said)], className="nt-state"), *parts],
        className=f"cg-card pt-card{' pt-alarm' if color == 'red' else ''}", id="night-state",
    )  # fmt: skip


def _cause(stage: StageRecord) -> str:
    if stage.error is None:
        return say("night.cause_gone")
    key = f"night.error_{stage.error}"
    return say(key) if has(key) else say("night.cause_unknown", error=stage.error)


def _verbatim(stage: StageRecord) -> list[Any]:
    """Return what the failure itself said, with its counts; it is in English whatever the reader's language."""
    return [html.P(stage.cause, className="nt-verbatim", lang="en")] if stage.cause else []


def _counts(run: Run) -> dict[str, int]:
    ingest = next((stage for stage in run.stages if stage.stage == "ingest"), None)
    return {name: int(ingest.counts[name]) for name in _ROWS if ingest and ingest.counts.get(name) is not None}


def _stage(name: str) -> str:
    key = f"night.stage_{name}"
    return say(key) if has(key) else name


def _stages(run: Run, now: dt.datetime) -> Any:
    longest = max((stage.seconds or 0 for stage in run.stages), default=0)
    names = {"done": "green", "running": "amber", "failed": "red"}
    rows = []
    for stage in run.stages:
        state = "cut_off" if stage.state == "running" and run.holder is None else stage.state
        color: Color = names.get(state, "red")  # type: ignore[assignment]
        took = stage.seconds
        if state == "running" and stage.started_at is not None:
            took = (now - stage.started_at).total_seconds()
        numbers = [_number(stage.counts.get(name)) for name in _ROWS]
        rows.append(
            [light(color, _stage(stage.stage)), say(f"night.stage_state_{state}"), _took(took, longest), *numbers,
             remark(stage)]
        )  # fmt: skip
    head = [say(f"night.{name}") for name in ("stage", "state", "seconds", *_ROWS, "remark")]
    return card(
        say("night.stages"), table(head, rows, caption=say("night.stages"), numbers=frozenset(range(2, 7))),
        id="night-stages", more=html.Span(say("night.run_number", run=str(run.number)), className="pt-quiet"),
    )  # fmt: skip


def _took(took: float | None, longest: float) -> Any:
    share = 0 if not took or not longest else min(1.0, took / longest)
    return html.Span([duration(took), html.Span(className="nt-bar", style={"--nt-share": f"{share:.3f}"})])


def _number(value: Any) -> str:
    return say("night.count", count=value) if isinstance(value, int) else ""


def remark(stage: StageRecord) -> str:
    """Return what is worth saying of a stage beside its rows."""
    counts = stage.counts
    if stage.state == "failed":
        return stage.error or ""
    match stage.stage, counts.get("how"):
        case ("load", str(how)):
            told = say(f"night.load_{how}") if has(f"night.load_{how}") else how
            return f"{told}{say('night.and')}{say('night.light_equal')}" if counts.get("neo4j_equals_lake") else told
        case (_, str(how)) if has(key := f"night.how_{how.replace(' ', '_')}"):
            return say(key)
    match stage.stage:
        case "ingest" if "files" in counts:
            told = say("night.files_read", count=counts["files"])
            unknown = len(counts.get("unknown_files") or ())
            return told + (say("night.and") + say("night.files_unknown", count=unknown) if unknown else "")
        case "rings" if counts.get("status"):
            kinds = (say(f"night.rings_{name}", count=count) for name, count in sorted(counts["status"].items())
                     if has(f"night.rings_{name}"))  # fmt: skip
            return say("night.and").join(kinds)
        case "leads" if "loans_looked_for" in counts:
            return say(
                "night.leads_found", looked=counts["loans_looked_for"], found=counts["loans_with_lead"],
                allowed=counts["loans_allowed"],
            )  # fmt: skip
        case "drift" | "scores" if "counts" in counts:
            numbers = counts["counts"]
            return say("night.drift_counts", alarm=numbers.get("alarm", 0), warn=numbers.get("warn", 0))
    return ""


def _reasons(run: Run) -> Any:
    ingest = next((stage for stage in run.stages if stage.stage == "ingest"), None)
    reasons: Mapping[str, int] = ingest.counts.get("reasons") or {} if ingest else {}
    many = int(ingest.counts.get("files") or 0) if ingest else 0
    most = max(reasons.values(), default=0)
    rows = [
        html.Li([
            html.Span(reason(code)), html.Code(code),
            html.Span(say("night.count", count=count), className="cg-number"),
            html.Span(className="nt-bar", style={"--nt-share": f"{count / most:.3f}"}),
        ])
        for code, count in sorted(reasons.items(), key=lambda item: -item[1])[:_REASONS]
    ]  # fmt: skip
    left = len(reasons) - len(rows)
    body: list[Any] = [html.Ul(rows, className="nt-reasons") if rows else html.P(say("night.none_refused"))]
    if left > 0:
        body.append(html.P(say("night.reasons_left", count=left), className="pt-quiet"))
    show = html.Button(say("night.show_files", count=many), id="night-show", type="button", className="pt-button",
                       disabled=not many)  # fmt: skip
    return card(say("night.reasons"), *body, more=show, id="night-reasons")


def _lights(found: Sequence[Light], before: Mapping[str, Sequence[tuple[dt.date, Color]]]) -> Any:
    return card(say("night.lights"), *[_watched(one, before[one.watch]) for one in found], id="night-lights")


def _watched(one: Light, before: Sequence[tuple[dt.date, Color]]) -> Any:
    told = say(one.told)
    if one.night is not None:
        told = f"{told}{say('night.and')}{say('night.light_since', night=one.night)}"
    dots = [
        html.Span(className=f"pt-light pt-{color}", title=say("night.dot", night=night, color=say(f"night.{color}")))
        for night, color in before
    ]
    shown = []
    for figure in one.figures:
        said = html.Span(figure["sentence"], lang="en", className="pt-quiet")
        shown.append(html.Li([html.Span(_figure(figure), className="nt-figure"), said]))
    if not shown:
        shown = [html.Li(sentence, lang="en", className="pt-quiet") for sentence in one.sentences]
    open_ = one.color in ("red", "amber")
    more = [html.Details([html.Summary(say("night.sentences", count=len(shown))), html.Ul(shown)], open=open_)]
    return html.Div(
        [
            html.Div([html.H3(say(f"night.watch_{one.watch}")), html.Span(dots, className="nt-dots")]),
            light(one.color, told), *(more if shown else []),
        ],
        className="nt-watch", id=f"night-light-{one.watch}",
    )  # fmt: skip


def _figure(figure: Mapping[str, Any]) -> str:
    """Return what a figure of drift is about and how far it lies, in the reader's language."""
    metric, group = str(figure.get("metric", "")), str(figure.get("group", ""))
    key = f"night.metric_{metric}"
    about = say(key, group=group) if has(key) else f"{metric} {group}".strip()
    sizes = [(name, figure.get(name)) for name in ("psi", "ks", "ratio", "error")]
    told = [say(f"night.size_{name}", value=round(float(value), 2)) for name, value in sizes if value is not None]
    return say("night.figure", about=about, sizes=say("night.comma").join(told) or "—")


def _runs(runs: Sequence[Run], chosen: Run, now: dt.datetime) -> Any:
    rows = []
    for run in runs:
        day = dt.date.fromisoformat(run.night)
        link = dcc.Link(say("night.run_link", run=str(run.number)), href=f"/night?run={run.number}")
        rows.append([link, say("night.day", night=day), light(_RUN_COLORS[run.state], say(f"night.run_{run.state}")),
                     duration(seconds(run, now))])  # fmt: skip
    head = [say(f"night.{name}") for name in ("run", "night", "state", "took")]
    return card(
        say("night.runs"),
        table(head, rows, caption=say("night.runs"), numbers=frozenset({3}), chosen=list(runs).index(chosen)),
        id="night-runs",
    )  # fmt: skip
