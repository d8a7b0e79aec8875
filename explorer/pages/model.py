"""The model: who is champion and why, whether it still means what it says, and what it stands on."""

from __future__ import annotations

from typing import Any

from dash import html
from flask import Response

from explorer.desk import Desk
from explorer.model import view
from explorer.model.catalog import catalog, leaks
from explorer.model.models import ModelMissingError, read_models
from explorer.night.lights import reported
from explorer.pages import Page
from explorer.parts import light
from explorer.rights import Action
from explorer.words import say


def layout(desk: Desk, /, version: str = "", **_query: str) -> Any:
    """Return the page with the champion's card, or that of the registered model asked for."""
    models = read_models(desk.models)
    entries = catalog(desk.lake)
    night = next((entry.newest for entry in entries if entry.name == "night_report"), None)
    shown = version if version in models.versions else models.champion or next(iter(models.versions), "")
    mine = models.card(models.champion) if models.champion else None
    left: list[Any] = [
        view.model_card(models, shown) if shown else view.no_model(desk.lake.root, night or desk.now().date())
    ]
    if models.lines or not models.whole:
        left.append(view.ledger(models))
    right = [view.checks(leaks(desk.lake, entries, night, mine))]
    if models.versions:
        right = [view.challengers(models, shown), *right]
    right.append(view.watch(reported(desk.lake, night) if night else ()))
    return html.Div(
        [
            html.Div(
                [html.Div([html.H1(say("model.title"), className="cg-title"),
                           html.P(say("model.lead_in"), className="cg-lead")]),
                 _champion(models.champion, models.whole)],
                className="pt-top",
            ),
            html.Div([html.Div(left, className="pt-column"), html.Div(right, className="pt-column")],
                     className="pt-grid md-grid"),
            view.tables(entries),
        ],
        id="model", className="pt-page md",
    )  # fmt: skip


def _champion(version: str | None, whole: bool) -> Any:
    if not whole:
        return light("red", say("model.nobody_knows"))
    return light("green", say("model.champion_is", version=version)) if version else light("gray", say("model.none"))


PAGE = Page("/model", "model.title", Action.SEE_MODEL, layout, icon="model")


def register(desk: Desk) -> None:
    """Register the pictures: of registered models only, by fixed names, as they were registered."""

    @desk.route(Action.SEE_MODEL, "/model/plot/<version>/<name>.png")
    def plot(version: str, name: str) -> Response:
        try:
            content = read_models(desk.models).plot(version, name)
        except ModelMissingError:
            content = None
        if content is None:
            return Response(status=404)
        return Response(content, mimetype="image/png")
