"""One shard of a stage, on whatever machine: what there is to do in it, and its tables once that is done."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.job.keys import code_version
from pipelines.job.ledger import check_conservation, ledger_rows
from pipelines.job.packs import SUFFIX, DamagedPackError, Kept, PackReader, kept_in, missing_blobs
from pipelines.job.stage import LEDGER, Context, Made, Stage
from pipelines.job.unit import FunctionName, Outcome, Unit, content_hash, plain
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.manifest import MANIFEST, Ids, Shard, read_manifest
from space_data.schema import KEPT, LedgerRow, arrow_schema
from space_data.store import Place
from space_data.tables import ARROW, ROW_GROUP_ROWS, in_order, parse_arrow, shard_writer, to_arrow, write_groups

KEY_CHARACTERS = 40
MEDIA = "media"
"""Folder of a stage's blobs."""
HASH_CHARACTERS = 16
"""Of the hashes of settings and code in the ledger: enough to tell two apart."""
NAME_CHARACTERS = 12
PACK_S = 120.0
"""A pack is closed when its units take about so long together."""
DAY_S = 86_400.0
UNTRUSTED = "untrusted"
"""Folder of the names of runs whose failures count for nothing, because there were too many."""


def cache_of(context: Context, stage: str) -> Place:
    """Where a stage keeps its packs."""
    return context.layout.cache_of(stage) / stage


def pack_folder(context: Context, stage: str, part: int) -> Place:
    """Where the packs of one shard lie. Another number of shards is another folder."""
    return cache_of(context, stage) / f"{part:05d}-of-{context.parts:05d}"


def blob_folder(context: Context, stage: str, part: int) -> Place:
    """Where the blobs of one shard lie."""
    return context.layout.stage(stage) / MEDIA / f"{part:05d}"


@dataclass(frozen=True)
class Plan:
    """The units of one shard and what is known of them."""

    units: dict[str, Unit]
    """by key, in order of their ids"""
    kept: dict[str, Kept]
    """results that count"""
    tried: dict[str, int]
    """how often those units have failed so far that may be tried again"""
    config: str
    version: str

    @property
    def todo(self) -> list[str]:
        """Keys without a result."""
        return [key for key in self.units if key not in self.kept]


def plan(stage: Stage, context: Context, part: int) -> Plan:
    """What one shard consists of and what of it is done; reads this shard's part of the tables before, and its packs.

    Raises:
        SpaceError: two units have one id.
    """
    version, config = code_version(FunctionName.of(stage.function)), content_hash(plain(stage.settings(context.params)))
    units: dict[str, Unit] = {}
    for unit in sorted(stage.items(context, part), key=lambda unit: unit.unit_id):
        key = content_hash(stage.name, stage.function.__name__, unit.unit_id, unit.content, config, version)[:KEY_CHARACTERS]
        if key in units or (units and unit.unit_id == next(reversed(units.values())).unit_id):
            raise SpaceError(f"{stage.name}: unit id {unit.unit_id!r} occurs twice (two files that differ only in their suffix?)")
        units[key] = unit
    distrusted = {place.name for place in (cache_of(context, stage.name) / UNTRUSTED).files()}
    found = kept_in(pack_folder(context, stage.name, part), distrusted)
    kept = {key: found[key] for key in units if key in found and _counts(found[key].outcome, distrusted, context)}
    for key in list(missing_blobs(kept.items(), blob_folder(context, stage.name, part))):
        del kept[key]
    again = {key: found[key].outcome for key in units if key in found and key not in kept}
    tried = {key: outcome.attempts for key, outcome in again.items() if outcome.failed and outcome.run not in distrusted}
    return Plan(units, kept, tried, config[:HASH_CHARACTERS], version[:HASH_CHARACTERS])


def _counts(outcome: Outcome, distrusted: set[str], context: Context) -> bool:
    """Whether a unit need not be tried again."""
    return not outcome.failed or (outcome.attempts >= context.params.job.attempts and outcome.run not in distrusted)


def packs_of(plan: Plan, most_units: int) -> Iterator[list[str]]:
    """Unit ids that are worked on together: the costly ones first, so that none of them is the last."""
    pack: list[str] = []
    cost_s = 0.0
    for unit in sorted((plan.units[key] for key in plan.todo), key=lambda unit: (-unit.cost_s, unit.unit_id)):
        pack.append(unit.unit_id)
        cost_s += unit.cost_s
        if len(pack) == most_units or cost_s >= PACK_S:
            yield pack
            pack, cost_s = [], 0.0
    if pack:
        yield pack


@dataclass
class Report:
    """What became of one shard; adds up in the driver, which sees nothing else."""

    part: int
    tables: dict[str, Shard] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    inputs: Ids = Ids()
    outputs: Ids = Ids()
    failures: list[str] = field(default_factory=list)
    """examples"""
    units: int = 0
    failed: int = 0
    missing: int = 0
    """units without any result"""
    machines: list[str] = field(default_factory=list)
    """kinds of those that its units were computed on, now or in an earlier run"""
    stale: list[str] = field(default_factory=list)
    """URIs of files that nothing needs once the manifest stands"""

    @staticmethod
    def from_facts(facts: dict[str, Any]) -> "Report":
        """From what ``dataclasses.asdict`` gave."""
        tables = {name: Shard(**shard) for name, shard in facts.pop("tables").items()}
        return Report(tables=tables, inputs=Ids(**facts.pop("inputs")), outputs=Ids(**facts.pop("outputs")), **facts)


MOST_EXAMPLES = 3


def write_part(stage: Stage, context: Context, part: int) -> Report:
    """Write the shard's tables, or say what is missing; a shard that is there already is not written again."""
    planned = plan(stage, context, part)
    report = Report(part, units=len(planned.units), missing=len(planned.todo))
    failed = [(planned.units[key], kept.outcome) for key, kept in planned.kept.items() if kept.outcome.failed]
    report.failed = len(failed)
    report.failures = [f"{unit.unit_id}: {one.reason}: {_last_line(one.detail)}" for unit, one in failed[:MOST_EXAMPLES]]
    report.machines = sorted({kept.outcome.machine for kept in planned.kept.values()})
    if report.missing:
        return report
    used = {kept.pack for kept in planned.kept.values()}
    if not stage.unpacked:
        try:
            _write_tables(stage, context, planned, report)
        except DamagedPackError:
            return Report(part, units=len(planned.units), missing=1)
        report.stale = [blob.uri for blob in _unnamed_blobs(stage, context, part, planned)]
    for pack in used:
        pack.touch()
    packs = pack_folder(context, stage.name, part).files(SUFFIX)
    report.stale += [pack.uri for pack in packs if pack not in used and is_old(pack, context)]
    return report


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""


def is_old(pack: Place, context: Context) -> bool:
    """Whether no run has used a pack for long (of one in a bucket: whether it is so old)."""
    return (pack.info().mtime_ns or 0) / 1e9 < time.time() - context.params.job.cache_days * DAY_S


def packs_of_other_numbers(stage: Stage, context: Context) -> Iterator[Place]:
    """Packs of runs whose tables had another number of shards."""
    cache, own = cache_of(context, stage.name), f"-of-{context.parts:05d}/"
    yield from (cache / name for name in cache.names(below=True) if name.endswith(SUFFIX) and own not in name)


def _unnamed_blobs(stage: Stage, context: Context, part: int, planned: Plan) -> Iterator[Place]:
    """Blobs that no unit names."""
    blobs = blob_folder(context, stage.name, part)
    named = {(blobs / name).uri for kept in planned.kept.values() for name in kept.outcome.blobs}
    yield from (place for place in blobs.files(below=True) if place.uri not in named)


def _write_tables(stage: Stage, context: Context, planned: Plan, report: Report) -> None:
    folder = context.layout.stage(stage.name)
    manifest = read_manifest(folder)
    before = {s.file: s for shards in manifest.tables.values() for s in shards} if manifest else {}
    since_ns = (folder / MANIFEST).info().mtime_ns or 0
    done = [(planned.units[key], planned.kept[key], key) for key in planned.units]
    kept = [(unit, entry, key) for unit, entry, key in done if entry.outcome.status == KEPT]
    with PackReader() as reader:
        made = {key: _finish(stage, context, unit, entry, reader) for unit, entry, key in kept} if stage.finish else {}
        for name, row_class in stage.tables.items():
            for path in stage.paths_of(name):
                chosen = [(entry, key) for unit, entry, key in kept if path in (name, f"{name}/{unit.partition}")]
                table_hash = content_hash(row_class.__name__, str(arrow_schema(row_class)), [key for _, key in chosen])
                file = f"{path}/part-{report.part:05d}-{table_hash[:NAME_CHARACTERS]}.parquet"
                shard = before.get(file)
                if shard is None or not _stands(folder / file, shard.size, shard.sha256, since_ns):
                    tables = (_table(reader, entry, name) for entry, _ in chosen)
                    shard = _put(folder, file, row_class, (table for table in tables if table is not None), report.part)
                report.tables[path] = shard
        given = stage.given(context, report.part)
        for name, row_class in stage.derived.items():
            rows = [row for one in made.values() for row in one.rows.get(name, ())] + [*given.get(name, ())]
            report.tables[name] = _put_whole(folder, name, to_arrow(rows, row_class), row_class, report.part, since_ns)
        ledger = _ledger(stage, planned, done, made, reader)
    ids = pa.chunked_array([pa.array([i for unit in planned.units.values() for i in unit.ledger_ids], pa.string())])
    if stage.own_ledger:
        ids = pa.chunked_array([ledger.column("clip_id").combine_chunks().unique()])
    report.counts = dict(check_conservation(stage.name, ids, ledger))
    entered = {i for unit in planned.units.values() if unit.enters_here for i in unit.ledger_ids}
    report.inputs = Ids.of(i for i in ids.to_pylist() if i not in entered)
    report.tables[LEDGER] = _put_whole(folder, LEDGER, ledger, LedgerRow, report.part, since_ns)
    report.outputs = Ids.of(_output_ids(stage, folder, report, ledger))


def _finish(stage: Stage, context: Context, unit: Unit, entry: Kept, reader: PackReader) -> Made:
    assert stage.finish is not None
    return stage.finish(unit, lambda name: reader.read(entry, name), context)


def _table(reader: PackReader, entry: Kept, name: str) -> pa.Table | None:
    content = reader.read(entry, f"{name}{ARROW}")
    return None if content is None else parse_arrow(content)


def _ledger(
    stage: Stage, planned: Plan, done: Sequence[tuple[Unit, Kept, str]], made: Mapping[str, Made], reader: PackReader
) -> pa.Table:
    """The shard's rows of the ledger, each with the hashes of what it rests on, sorted by clip and reason."""
    tables, rows = [], list[LedgerRow]()
    for unit, entry, key in done:
        content = entry.outcome.content or unit.content
        outcome = replace(entry.outcome, content=content, config=planned.config, version=planned.version)
        own = _table(reader, entry, LEDGER) if stage.own_ledger and outcome.status == KEPT else None
        given = made[key].ledger if key in made else None
        if own is not None:
            tables.append(_with_hashes(own, outcome))
        elif given is not None:
            rows += [
                replace(
                    row, content=row.content or outcome.content, config=row.config or outcome.config,
                    version=row.version or outcome.version,
                )
                for row in given
            ]  # fmt: skip
        else:
            rows += ledger_rows(stage.name, [replace(outcome, unit_id=i) for i in unit.members] or [outcome])
    return in_order(pa.concat_tables([*tables, to_arrow(rows, LedgerRow)]), "clip_id", "reason")


def _with_hashes(table: pa.Table, outcome: Outcome) -> pa.Table:
    """The unit's own rows of the ledger; where they do not name hashes of their own, the unit's."""
    for name, value in (("content", outcome.content), ("config", outcome.config), ("version", outcome.version)):
        index = table.schema.get_field_index(name)
        values = [own or value for own in table.column(name).to_pylist()]
        table = table.set_column(index, table.schema.field(index), pa.array(values, pa.string()))
    return table


def _output_ids(stage: Stage, folder: Place, report: Report, ledger: pa.Table) -> list[str]:
    if not stage.outputs:
        return ledger.filter(pa.compute.equal(ledger.column("status"), KEPT)).column("clip_id").unique().to_pylist()
    place = folder / report.tables[stage.outputs].file
    return pq.read_table(place.path, filesystem=place.filesystem, columns=["clip_id"], partitioning=None)[0].unique().to_pylist()


def _stands(place: Place, size: int, sha256: str, since_ns: int) -> bool:
    """Whether a shard lies there as it was written. It is hashed only if it has changed since the manifest was put, which every
    run does anew: to hash a million clips' tables takes many minutes."""
    info = place.info()
    return info.size == size and ((info.mtime_ns or 0) < since_ns or place.sha256() == sha256)


def _put(folder: Place, file: str, row_class: type, tables: Iterator[pa.Table], part: int) -> Shard:
    """Write a shard of whole units, some row groups in memory at a time."""
    with shard_writer(row_class) as (buffer, writer):
        rows = write_groups(writer, tables)
        writer.close()
        (folder / file).put(buffer)
        return Shard(file, sha256_of(buffer), buffer.stat().st_size, rows, part)  # of what was meant, whatever the disk keeps


def _put_whole(folder: Place, path: str, table: pa.Table, row_class: type, part: int, since_ns: int) -> Shard:
    """Write a small shard, named by its content."""
    with shard_writer(row_class) as (buffer, writer):
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        writer.close()
        content = buffer.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    file = f"{path}/part-{part:05d}-{digest[:NAME_CHARACTERS]}.parquet"
    if not _stands(folder / file, len(content), digest, since_ns):
        (folder / file).put(content)
    return Shard(file, digest, len(content), table.num_rows, part)


def counted(reports: Sequence[Report]) -> Counter[str]:
    """Units per status in all shards."""
    return sum((Counter(report.counts) for report in reports), Counter())
