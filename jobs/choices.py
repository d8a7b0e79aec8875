"""What an operator may choose for a night and for an export; apart, so that `--help` waits for nothing heavy."""

from __future__ import annotations

from enum import StrEnum


class LoadHow(StrEnum):
    """How the graph gets into Neo4j; `auto` chooses by how much has changed."""

    AUTO = "auto"
    FULL = "full"
    INCREMENTAL = "incremental"
    NONE = "none"


class ExportTable(StrEnum):
    """The tables that can be taken out of the lake."""

    RINGS = "rings"
    RING_MEMBERS = "ring_members"
    APPLICANT_SCORES = "applicant_scores"
    LEADS = "leads"
    APPLICANT_PERSON = "applicant_person"
    HUBS = "hubs"
    NIGHT_REPORT = "night_report"


class ExportFormat(StrEnum):
    """How an exported table is written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
