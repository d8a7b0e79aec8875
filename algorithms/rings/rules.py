"""The rules of `rules/rings.yml`: conditions and points as SQL over a group's figures, sentences for an analyst."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

RULES = Path(__file__).parents[1] / "rules" / "rings.yml"


class RulesError(Exception):
    """A rules file cannot be used; the text names the rule and what is wrong."""


class Rule(BaseModel):
    """One rule: for which views it is, when it holds, what it adds to ln(odds), and what an analyst reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    when: str
    points: str | float
    says: str
    view: tuple[str, ...] = ()

    def holds(self) -> pl.Expr:
        """Return the condition; a figure that is not known fails it."""
        told = pl.sql_expr(self.when).fill_null(False)
        return told & pl.col("view").is_in(list(self.view)) if self.view else told

    def worth(self) -> pl.Expr:
        """Return the points of a group for which the rule holds, 0 for others."""
        points = pl.sql_expr(str(self.points)).cast(pl.Float64)
        return pl.when(self.holds()).then(points).otherwise(0.0).fill_null(0.0)


class Rules(BaseModel):
    """A rules file: its version, by what ln(odds) are divided before they become a score, and the rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int
    temperature: float
    typologies: tuple[Rule, ...]
    remarks: tuple[Rule, ...]

    def scored(self, figures: pl.DataFrame) -> pl.DataFrame:
        """Return the figures with `structure`, `rule` (position of the typology rule, null: none), `remark`, `logit`.

        Raises:
            RulesError: a rule asks for a figure that does not exist, or is no SQL expression.
        """
        for rule in (*self.typologies, *self.remarks):
            try:
                figures.head(0).select(rule.worth())
            except (pl.exceptions.PolarsError, TypeError) as error:
                first = str(error).splitlines()[0][:200]
                raise RulesError(f"Rule {rule.name!r} cannot be used: {first}. Figures: {figures.columns}") from None
        worth = [rule.worth() for rule in self.typologies]
        held = [rule.holds() for rule in self.typologies]
        best = pl.concat_list(
            [pl.when(h).then(w).otherwise(None).cast(pl.Float64) for h, w in zip(held, worth, strict=True)]
        )
        remark: pl.Expr = sum((rule.worth() for rule in self.remarks), pl.lit(0.0))
        rows = figures.with_columns(_best=best, remark=remark)
        rows = rows.with_columns(structure=pl.col("_best").list.max(), rule=pl.col("_best").list.arg_max())
        rows = rows.with_columns(rule=pl.when(pl.col("structure").is_not_null()).then(pl.col("rule")))
        logit = pl.col("prior") + pl.col("structure").fill_null(0.0) + pl.col("remark") + pl.col("conduct")
        return rows.with_columns(logit=logit).drop("_best")


def read_rules(path: Path = RULES) -> Rules:
    """Return the rules of a file.

    Raises:
        RulesError: it is no YAML, a key is unknown or missing.
    """
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise RulesError(f"{path} cannot be read: {type(error).__name__}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise RulesError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def sentence(says: str, figures: dict[str, Any]) -> str:
    """Return a sentence with its figures filled in: ratios as percent, small numbers with a decimal."""
    shown = {name: _shown(name, value) for name, value in figures.items()}
    return says.format_map(shown)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if name == "span_days":
        minutes = round(value * 1440)
        return (
            f"{value:,.0f} days"
            if value >= 2
            else f"{minutes / 60:.0f} hours"
            if minutes >= 120
            else f"{minutes} minutes"
        )
    if name.endswith("_ratio"):
        return f"{value:.0%}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) < 10 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
