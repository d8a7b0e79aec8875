"""From where on a shift is worth an analyst's or an operator's time."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DriftSettings(BaseSettings):
    """`DRIFT_NIGHTS`, `_PSI_WARN`, `_PSI_ALARM`, `_KS_WARN`, `_KS_ALARM`, `_P_VALUE`, `_MIN_COUNT`, and so on.

    A shift counts when it is both large (PSI or KS reaches its threshold) and no accident of small numbers (its
    p-value is below `p_value`). 0.1 and 0.25 are the customary limits of PSI: Siddiqi 2006, "Credit Risk Scorecards".
    """

    model_config = SettingsConfigDict(env_prefix="DRIFT_")
    nights: int = Field(default=28, ge=1)  # compared with, at most
    psi_warn: float = Field(default=0.1, ge=0)
    psi_alarm: float = Field(default=0.25, ge=0)
    ks_warn: float = Field(default=0.1, ge=0, le=1)
    ks_alarm: float = Field(default=0.25, ge=0, le=1)
    p_value: float = Field(default=0.001, gt=0, lt=1)
    min_count: int = Field(default=50, ge=1)  # fewer, tonight or in the reference, are not compared
    volume_warn: float = Field(default=2.0, gt=1)  # times more or fewer rows of a source than its median night
    volume_alarm: float = Field(default=4.0, gt=1)
    volume_nights: int = Field(default=3, ge=1)  # nights before which a source's volume is not judged
    bulk: float = Field(default=10.0, gt=1)  # a night with so many times tonight's rows was a first load: no reference
