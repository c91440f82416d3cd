"""A cluster with small jobs: ``pytest -m cluster -n 0``; ``test_curation.py`` has the real ones, and loses a task manager."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cluster.local import LocalCluster
from pipelines.cluster.parts import check_tools, missing_tools
from space_data.params import load_params

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(missing_tools()), reason=f"missing: {'; '.join(missing_tools())}"),
]
WORDS = ["a", "rose", "is", "a", "rose", "is", "a", "rose"]
BUCKET = "s3://results"


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


def test_the_command_starts_shows_and_ends_a_cluster(tmp_path: Path) -> None:
    from pipelines.cli import app

    def space(*arguments: str):
        return CliRunner().invoke(app, ["cluster", *arguments, "--run", str(tmp_path)], catch_exceptions=False)

    up = space("up", "--task-managers", "1")
    try:
        assert up.exit_code == 0 and "AWS_ENDPOINT_URL" in up.output
        (setting,) = [shlex.split(line)[-1] for line in up.output.splitlines() if line.startswith("to curate on it")]
        assert load_params(None, [setting]).job.beam[0] == "--runner=PortableRunner"
        shown = space("status")
        assert shown.exit_code == 0 and "1 task managers at work" in shown.output
    finally:
        down = space("down")
    assert down.exit_code == 0 and "ended" in down.output
    assert LocalCluster(folder=tmp_path).processes.survivors() == []
    assert "no cluster was running" in space("down").output
