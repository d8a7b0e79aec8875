"""What a country allows of collection calls, as data: one YAML file each in `policies/`, changed without code."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

POLICIES = Path(__file__).parent / "policies"


class PolicyError(ValueError):
    """A policy cannot be used; the text names the file and what is wrong with it."""


class Policy(BaseModel):
    """Limits of one policy; what is left out is not limited by it.

    Attributes:
        quiet_from: local time at which calls must end, `quiet_to` at which they may begin again (calls are allowed at
            `quiet_to`, not at `quiet_from`); a night, or any other span of the day.
        connected_per_day: connected calls about a debtor in a local calendar day, all numbers and collectors together.
        unanswered_per_number_and_day: unanswered tries of one number in a local calendar day.
        calls_per_person_and_week: calls to one person about one debt in any 7 times 24 hours.
        days_after_conversation: times 24 hours without a call to a person after having spoken with them about a debt.
        failed_before_third_persons: failed attempts in a row on each of the debtor's own numbers, unless it is invalid,
            before a third person may be called.
        once_per: which third persons are called once only: those `unrelated` to the debtor, or `anybody`.
        address_book_alone: whether a third person known from an address book and from nothing else may be called.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    quiet_from: time | None = None
    quiet_to: time | None = None
    connected_per_day: int | None = Field(None, ge=0)
    unanswered_per_number_and_day: int | None = Field(None, ge=0)
    calls_per_person_and_week: int | None = Field(None, ge=1)
    days_after_conversation: int | None = Field(None, ge=1)
    failed_before_third_persons: int = Field(3, ge=1)
    once_per: Literal["unrelated", "anybody"] = "unrelated"
    address_book_alone: bool = False


def read_policy(name: str, folder: Path = POLICIES) -> Policy:
    """Return the policy of a country.

    Raises:
        PolicyError: there is no such file, or it is no policy.
    """
    path = folder / f"{name}.yml"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.yml")))
        raise PolicyError(f"There is no policy {name}. There are: {there}. Another is a file in {folder}.")
    try:
        policy = Policy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise PolicyError(f"{path} is no policy: {error}") from None
    if (policy.quiet_from is None) != (policy.quiet_to is None) or (
        policy.quiet_from is not None and policy.quiet_from == policy.quiet_to
    ):
        raise PolicyError(f"{path} needs quiet_from and quiet_to together and different, or neither.")
    return policy
