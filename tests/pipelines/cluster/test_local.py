"""Jobs on real engines: ``pytest -m cluster -n 0``."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cluster.local import LocalCluster
from pipelines.cluster.parts import check_tools, missing_tools

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(missing_tools()), reason=f"missing: {'; '.join(missing_tools())}"),
]
WORDS = ["a", "rose", "is", "a", "rose", "is", "a", "rose"]
BUCKET = "s3://results"
ELEMENTS, ELEMENT_S = 40, 0.5
JOB_LIMIT_S = 600.0


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    check_tools()
    with LocalCluster("flink", folder=tmp_path_factory.mktemp("flink")) as cluster:
        cluster.store.filesystem().create_dir("results")
        yield cluster
    assert cluster.processes.survivors() == []


def count_words(cluster: LocalCluster) -> dict[str, int]:
    """Word count whose workers write to the S3 server: word → count."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    bucket = BUCKET

    def write(pair: tuple[str, int]) -> None:
        from pyarrow.fs import FileSystem

        files, _ = FileSystem.from_uri(bucket)
        with files.open_output_stream(f"results/words/{pair[0]}") as out:
            out.write(str(pair[1]).encode())

    with beam.Pipeline(options=PipelineOptions(cluster.beam_options())) as pipeline:
        words = pipeline | beam.Create(WORDS) | beam.Reshuffle() | beam.Map(lambda word: (word, 1))
        words | beam.CombinePerKey(sum) | beam.Map(write)
    return {name: int(text) for name, text in read_all(cluster, "results/words").items()}


def read_all(cluster: LocalCluster, folder: str) -> dict[str, str]:
    """Objects below a folder of the S3 server: name → content."""
    from pyarrow.fs import FileSelector

    files = cluster.store.filesystem()
    found = files.get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
    return {info.base_name: files.open_input_stream(info.path).read().decode() for info in found if info.is_file}


def test_s3_server_keeps_what_pyarrow_writes(flink: LocalCluster, rng) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = flink.store.filesystem()
    files.create_dir("bucket")
    large = rng.bytes(20 << 20)  # several parts of an upload
    with files.open_output_stream("bucket/blobs/large") as out:
        out.write(large)
    table = pa.table({"clip": ["a", "b"], "frames": [250, 75]})
    pq.write_table(table, "bucket/tables/clips.parquet", filesystem=files)
    assert files.open_input_stream("bucket/blobs/large").read() == large
    assert pq.read_table("bucket/tables/clips.parquet", filesystem=files) == table
    assert set(read_names(flink, "bucket")) == {"bucket/blobs/large", "bucket/tables/clips.parquet"}


def read_names(cluster: LocalCluster, bucket: str) -> list[str]:
    from pyarrow.fs import FileSelector

    return [f.path for f in cluster.store.filesystem().get_file_info(FileSelector(bucket, recursive=True)) if f.is_file]


def test_words_are_counted_on_flink(flink: LocalCluster) -> None:
    assert count_words(flink) == {"a": 3, "rose": 3, "is": 2}


def test_a_lost_task_manager_loses_nothing_and_leaves_no_worker(flink: LocalCluster) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    bucket, element_s = BUCKET, ELEMENT_S

    def work(number: int) -> int:
        import os

        from pyarrow.fs import FileSystem

        time.sleep(element_s)
        files, _ = FileSystem.from_uri(bucket)
        with files.open_output_stream(f"results/done/{number:03}") as out:
            out.write(os.getcwd().encode())
        return number

    def send() -> None:
        with beam.Pipeline(options=PipelineOptions(flink.beam_options())) as pipeline:
            pipeline | beam.Create(range(ELEMENTS)) | beam.Reshuffle() | beam.Map(work)

    before = len(flink.processes.survivors())
    job = threading.Thread(target=send, daemon=True)
    job.start()
    deadline_s = time.monotonic() + JOB_LIMIT_S
    while not 5 <= len(read_names_or_none(flink, "results/done")) < ELEMENTS:
        assert job.is_alive() and time.monotonic() < deadline_s
        time.sleep(0.1)
    workers = [pid for pid in flink.processes.survivors() if is_below(pid, flink.folder / "task-manager-0")]
    assert len(workers) > 1  # the task manager, a launcher, a Python worker
    flink.kill_task_manager(0)
    time.sleep(1.0)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").is_dir()], "workers outlived their task manager"
    assert flink.start_task_manager() == 2
    job.join(JOB_LIMIT_S)
    assert not job.is_alive()
    done = read_all(flink, "results/done")
    assert sorted(map(int, done)) == list(range(ELEMENTS))
    assert {Path(folder).name for folder in done.values()} >= {"task-manager-1", "task-manager-2"}
    time.sleep(1.0)
    assert len(flink.processes.survivors()) <= before


def read_names_or_none(cluster: LocalCluster, folder: str) -> list[str]:
    from pyarrow.fs import FileSelector

    found = cluster.store.filesystem().get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
    return [info.path for info in found if info.is_file]


def is_below(pid: int, folder: Path) -> bool:
    """Whether a process works in ``folder``."""
    try:
        return Path(f"/proc/{pid}/cwd").resolve().is_relative_to(folder)
    except FileNotFoundError:
        return False


def test_words_are_counted_on_spark(tmp_path: Path) -> None:
    check_tools()
    with LocalCluster("spark", folder=tmp_path) as cluster:
        cluster.store.filesystem().create_dir("results")
        assert count_words(cluster) == {"a": 3, "rose": 3, "is": 2}
    assert cluster.processes.survivors() == []


def test_the_command_starts_shows_and_ends_a_cluster(tmp_path: Path) -> None:
    from pipelines.cli import app

    def space(*arguments: str):
        return CliRunner().invoke(app, ["cluster", *arguments, "--run", str(tmp_path)], catch_exceptions=False)

    up = space("up", "--task-managers", "1")
    try:
        assert up.exit_code == 0 and "--runner=PortableRunner" in up.output and "AWS_ENDPOINT_URL" in up.output
        shown = space("status")
        assert shown.exit_code == 0 and "1 task managers at work" in shown.output
    finally:
        down = space("down")
    assert down.exit_code == 0 and "ended" in down.output
    assert LocalCluster(folder=tmp_path).processes.survivors() == []
    assert "no cluster was running" in space("down").output
