"""The one policy on hubs, without Spark: a hub never joins two groups by itself, and is never left out in silence.

Communities, rings, sampling, queries and the screen ask here. The Spark form is `algorithms.hubs.bridges`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

Override = Literal["hub", "not_hub"]


class HubKind(StrEnum):
    """What a node that many persons share is taken for."""

    COURIER = "courier"
    HOTLINE = "hotline"
    SHOP_DEVICE = "shop_device"
    CAMPUS_OR_MALL_WIFI = "campus_or_mall_wifi"
    BIG_EMPLOYER = "big_employer"
    EMPLOYER_PHONE = "employer_phone"
    HELPFUL_AGENT = "helpful_agent"
    HOUSING_ESTATE = "housing_estate"
    SALES_CHANNEL = "sales_channel"
    UNEXPLAINED = "unexplained"


def joins(kind: str | None, override: str | None = None) -> bool:
    """Return whether a node may join the persons beside it into one group.

    A node that is not in the registry (`kind` None) joins. An explained hub does not. `unexplained` joins: nothing
    honest accounts for it, and the node that binds a ring must not vanish. A person's word outranks the rules.
    """
    if override is not None:
        return override == "not_hub"
    return kind is None or kind == HubKind.UNEXPLAINED
