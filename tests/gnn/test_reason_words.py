"""Columns and links in words."""

import math

import pytest

from algorithms.features.catalogue import FEATURES as GRAPH_FEATURES
from gnn.data.own_features import FEATURES
from gnn.reason_words import of_column, of_fact, of_links


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("amount_log1p_cny", math.log1p(21_000), "asks for 21,000 CNY"),
        ("applied_weekday", 3.0, "made on a Thursday"),
        ("applied_hour_sin", 0.5, "the hour of the application"),
        ("applied_hour_cos", -0.9, "the hour of the application"),
        ("bank_card_blank", 1.0, "no bank card stated"),
        ("bank_card_blank", 0.0, "bank card stated"),
        ("age_years", math.nan, "age years: not known"),
        ("age_years", 0.0, "age not stated"),
        ("gender", -1.0, "gender stated: female"),
        ("ring_member", 1.0, "in a ring by the newest result before the day: yes"),
    ],
)
def test_a_column_and_its_value_are_told_in_words(name: str, value: float, said: str) -> None:
    assert of_column(name, value) == said


def test_every_column_of_a_model_has_words_without_underscores() -> None:
    for name in (*FEATURES, *(feature.name for feature in GRAPH_FEATURES)):
        assert "_" not in of_column(name, 1.0)


def test_links_are_told_by_what_they_lead_to() -> None:
    assert of_links("STATES_wifi") == "the Wi-Fi it names"
    assert of_links("rev_STATES_device") == "other applications that name something around it: app device"
    assert of_links("rev_CALLED") == of_links("CALLED") == "calls around it"
    assert of_fact("missed") == "known of the applicant: a missed first instalment"
