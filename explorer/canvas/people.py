"""Persons by what their applications said, by token: names and id numbers are no nodes of the graph."""

from __future__ import annotations

from typing import Literal

from graph.answers import End
from graph.lake import Lake
from graph.schema import Label

Column = Literal["name", "id_number"]


class People:
    """The applications of a lake, asked by the token of one column."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def by_token(self, column: Column, token: str, limit: int) -> list[End]:
        """Return the persons of whom an application said so, in order of their ids; none without a lake."""
        import pyarrow.dataset as ds
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            applications = DeltaTable(str(self._lake.raw("applications")))
            resolved = DeltaTable(str(self._lake.graph("applicant_person")))
        except (TableNotFoundError, FileNotFoundError):
            return []
        stands = ds.field("ended_on").is_null()
        rows = stands & (ds.field(column) == token)
        said = applications.to_pyarrow_dataset().to_table(columns=["applicant_id"], filter=rows)
        applicants = sorted({id for id in said["applicant_id"].to_pylist() if id})[: 10 * limit]
        if not applicants:
            return []
        of = resolved.to_pyarrow_dataset().to_table(
            columns=["person_id"], filter=stands & ds.field("applicant_id").isin(applicants)
        )
        return [End(Label.PERSON.value, id) for id in sorted(set(of["person_id"].to_pylist()))[:limit]]
