"""What a stage declares; everything else about running it is the engine's (``pipelines.job.run``)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.job.unit import EnvironmentFault, Unit, UnitFunction
from pipelines.layout import Layout
from space_data.manifest import Manifest, committed, is_intact
from space_data.params import Params
from space_data.schema import LedgerRow
from space_data.store import Place

LEDGER = "ledger"


@dataclass(frozen=True)
class Context:
    """What the parts of a run know, on any machine: small, whatever the size of the set."""

    params: Params
    layout: Layout
    parts: int = 0
    """number of shards"""
    extra: Mapping[str, str] = field(default_factory=dict)
    """what ``Stage.prepare`` found out"""
    verify: bool = False
    """whether shards of the stages before are hashed before they are used"""

    def __post_init__(self) -> None:
        """Make ``data.raw`` absolute: it is meant from the driver's folder, and workers may be in another one."""
        data = self.params.data.model_copy(update={"raw": Place.of(self.params.data.raw).uri})
        object.__setattr__(self, "params", self.params.model_copy(update={"data": data}))

    @property
    def raw(self) -> Place:
        """Root of the raw files."""
        return Place(self.params.data.raw)

    def verifying(self) -> "Context":
        """The same for whoever computes from the shards: to hash them costs little beside that, and much beside a re-run."""
        return replace(self, verify=True)

    def upstream(self, stage: str) -> Manifest:
        """The manifest of a stage before this one."""
        return committed(self.layout.stage(stage), stage)

    def shard(self, stage: str, table: str, part: int) -> Place:
        """One shard of a table of a stage before this one.

        Raises:
            EnvironmentFault: it is to be verified, and is not what was written.
        """
        shard = self.upstream(stage).tables[table][part]
        place = self.layout.stage(stage) / shard.file
        if self.verify and not is_intact(place, shard):
            raise EnvironmentFault(f"{place}: its bytes have changed since it was written; the stage that wrote it replaces it")
        return place

    def shard_hashes(self, stage: str, tables: Iterable[str], part: int) -> list[str]:
        """SHA-256 of the shards number ``part`` of tables of one stage."""
        manifest = self.upstream(stage)
        return [manifest.tables[table][part].sha256 for table in tables]


@dataclass(frozen=True)
class Made:
    """What a stage makes of a unit's result when its shard is written: what depends on labels, which are in no key."""

    rows: Mapping[str, list[Any]]
    """rows for ``Stage.derived`` tables"""
    ledger: list[LedgerRow] | None = None
    """the unit's rows in the ledger, if they are not simply its outcome"""


Files = Callable[[str], bytes | None]
"""Reads a file of a unit's result by its name; None: the unit left none of that name."""


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline: where its units come from, what is done with each, and which tables that gives.

    The unit function writes ``<table>.arrow`` for each of ``tables`` into its folder; ``ledger.arrow`` too, if the fates of
    the ids in the ledger are not simply the unit's.
    """

    name: str
    function: UnitFunction
    tables: Mapping[str, type]
    """by name: what the rows are"""
    items: Callable[[Context, int], Iterable[Unit]]
    """the units of one shard; runs on a worker, and may run more than once"""
    upstream: tuple[str, ...] = ()
    """stages whose tables are read"""
    settings: Callable[[Params], Any] = lambda params: None
    """what the unit function needs to know beside the unit; part of the key"""
    prepare: Callable[[Context], Mapping[str, str]] = lambda context: {}
    """runs once, in the driver, before the units; may write to the cache; what it returns is in ``Context.extra``"""
    continues: str = ""
    """stage whose ids come in, every one of them; empty: none does"""
    derived: Mapping[str, type] = field(default_factory=dict)
    """small tables whose rows ``finish`` makes"""
    finish: Callable[[Unit, Files, Context], Made] | None = None
    """of every kept unit, on a worker, when its shard is written"""
    given: Callable[[Context, int], Mapping[str, list[Any]]] = lambda context, part: {}
    """rows of derived tables that no unit makes"""
    partitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """tables that have a folder per ``Unit.partition``, and which there are"""
    outputs: str = ""
    """table whose clip ids the next stage gets; empty: the kept ids of the ledger"""

    modules: tuple[str, ...] = ()
    """what the unit function imports when it is first called: imported once for all worker processes of a machine"""
    unpacked: bool = False
    """it has no tables: whoever started it makes something of the results (``run_units``)"""
    own_ledger: bool = False
    """the units write ``ledger.arrow``: a shard is a unit, and its clips are the ledger's ids"""

    def table_paths(self) -> list[str]:
        """Paths of all tables below the stage's folder."""
        paths = [path for name in (*self.tables, *self.derived) for path in self.paths_of(name)]
        return [*paths, LEDGER]

    def paths_of(self, table: str) -> list[str]:
        """Paths of one table's partitions."""
        return [f"{table}/{part}" for part in self.partitions[table]] if table in self.partitions else [table]
