"""What `results.json` holds, as types: what is written and read is checked by them, and the JSON Schema for other programs
(docs/results.schema.json, written by ``python -m docs.make_schema``) follows from them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from evaluation.metrics.entry import Better
from evaluation.systems import Kind

VERSION = 1
"""Of the file; goes up when a key changes its meaning or goes. Keys may be added: readers have to pass over unknown ones."""
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class SystemResult(_Part):
    """A system that took part."""

    name: str
    title: str
    description: str
    kind: Kind
    pose_given: bool
    """it was told the recording's head motion"""
    is_control: bool
    """competes with nobody"""


class MetricResult(_Part):
    """A column."""

    id: str
    """name / protocol / version"""
    title: str
    unit: str
    better: Better
    """`recording`: nearest to the recording's own value"""
    definition: str
    source: str
    departures: str
    headline: bool
    needs_pose: bool
    """compares heads: says something of systems with pose_given only"""


class FigureResult(_Part):
    """One metric of one system: mean over identities of the mean over each one's clips, or a figure of whole sets of frames."""

    system: str
    metric: str
    mean: float | None
    """null: no clip has a value"""
    low: float | None
    """end of the interval; null for fewer than two identities"""
    high: float | None
    recording: float | None
    """the recording's own mean on the same clips, where near to it is wanted"""
    distance: float | None
    """mean distance from the recording's value, clip by clip"""
    common_mean: float | None
    """mean over the clips that every system has"""
    n_ok: Count
    """clips with a value"""
    n_total: Count
    """clips of the test list"""
    n_identities: Count
    n_common: Count
    """clips that every system has"""


class ContrastResult(_Part):
    """A paired difference of losses, `first` - `second`: below zero `first` is better."""

    first: str
    second: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    n_ok: Count
    """clips that both have"""
    n_total: Count
    n_identities: Count
    effect_size: float | None
    """mean over standard deviation of the identities' differences"""
    win_share: Share | None
    """of the clips; ties count half"""
    p: Share | None
    """sign flips over identities, two-sided"""
    p_holm: Share | None
    """adjusted over all contrasts of the file"""
    better_for_sure: str | None
    """the system that is, if p_holm is below .05"""


class Results(_Part):
    """The figures of a benchmark."""

    version: int
    provenance: dict[str, str]
    confidence_percent: float
    """of every interval"""
    clips: list[str]
    systems: list[SystemResult]
    metrics: list[MetricResult]
    figures: list[FigureResult]
    contrasts: list[ContrastResult]
