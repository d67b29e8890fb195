"""What recognition of a table gives: decisions, questions, problems."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Decision:
    """A choice that was made, as a line of a printed table."""

    what: str
    value: str
    why: str


@dataclass(frozen=True)
class Question:
    """A choice that the table leaves open.

    Attributes:
        key: setting of the section `plots` that answers it, such as crs or columns.richness.
        candidates: plausible answers; may be empty.
        why: the values that leave it open.
    """

    key: str
    candidates: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Recognised:
    """What the columns of a table are.

    Attributes:
        columns: names in `table.FIELDS` -> columns of the file; without lon and lat if the file has
            point geometries.
        crs: CRS of lon and lat; None if it is asked for, if the coordinates are not found, if the
            file has point geometries, or if columns.zone gives the CRS of each row.
        date_order: 'year-first', 'day-first' or 'month-first'; None without dates or if it is
            asked for.
        covariates: usable columns besides `columns`, in the file's order -> 'number' or 'class'.
            A column of areas is not among them: it is `area_m2` of every plot table.
        left_out: the other columns -> why they cannot be covariates.
        target_kind: 'count', 'continuous' or 'proportion', of the richness.
        decisions: what was chosen and why.
        questions: what the user has to answer.
        problems: faults of the table, a sentence each with the remedy.
    """

    columns: dict[str, str] = field(default_factory=dict)
    crs: str | None = None
    date_order: str | None = None
    covariates: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    target_kind: str = "count"
    decisions: list[Decision] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
