"""The whole curation on Flink and Spark, and in buckets: the bytes of the local runner, also when a task manager is lost."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_servers import served

from pipelines.cluster.keeper import KEEPER, children_of
from pipelines.cluster.local import LocalCluster
from pipelines.cluster.parts import missing_tools
from pipelines.stages import CURATION
from space_data.manifest import MANIFEST
from space_data.params import load_params
from space_data.store import Place

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(bool(missing_tools()), reason=f"missing: {'; '.join(missing_tools())}"),
]
REAL = ("mead_sad_m_1080p_444.mp4", "clean_f_524_glasses.mp4", "profile_lowres_f_224.mp4", "vfr_m_700.mp4")
"""Short ones: three are kept, one is rejected."""
RENDERED = 3
DRAWN = ("filter.photo_score.reject=null", "filter.detector_score.reject=null")
"""Faces may be drawn ones."""
SETTINGS = ("job.shards=2", "job.pack_units=1", "job.keep_every_s=0", "data.verify=true", *DRAWN)
"""Each clip is kept as soon as it is done, so that there is a middle to be killed in. Files go by bytes, not by times."""
LIMIT_S = 900.0
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real clips; where these are absent, some of the default corpus."""
    folder = tmp_path_factory.mktemp("raw") / "clips"
    folder.mkdir()
    media = REPOSITORY.parent / "shared" / "media"
    if media.is_dir():
        for name in REAL:
            shutil.copy(media / name, folder)
        return folder
    from space_data.synthetic.corpus import make, plans

    settings = load_params(REPOSITORY / "params.yaml").corpus
    for number, plan in enumerate(plans(settings)[:RENDERED]):
        scratch = tmp_path_factory.mktemp("made")
        make(plan, settings, scratch)
        (scratch / "clip.mp4").rename(folder / f"{number}.mp4")
    return folder


def curate(source: Place | Path, out: Place | Path, *settings: str, cwd: Path) -> subprocess.Popen[str]:
    """The user's command, at work in a folder that holds nothing of the project."""
    command = [sys.executable, "-m", "pipelines.cli", "data", "curate", Place.of(source).uri, "--out", Place.of(out).uri, "-q"]
    command += [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def see_it_through(run: subprocess.Popen[str]) -> None:
    told = run.communicate(timeout=LIMIT_S)[0]
    assert run.returncode == 0, told


def manifests(out: Place | Path) -> dict[str, bytes]:
    """Of every stage: they hold the hash of every shard of every table."""
    return {stage: (Place.of(out) / stage / MANIFEST).read() for stage in CURATION if stage != "align"}


def stages_that_differ(out: Place | Path, expected: dict[str, bytes]) -> list[str]:
    found = manifests(out)
    return [stage for stage in expected if found[stage] != expected[stage]]


@pytest.fixture(scope="module")
def expected(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the local runner gives."""
    folder = tmp_path_factory.mktemp("local")
    see_it_through(curate(clips, folder / "out", cwd=folder))
    return manifests(folder / "out")


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    with LocalCluster(request.param, folder=tmp_path / "cluster") as cluster:
        for name, value in cluster.store.environment().items():
            monkeypatch.setenv(name, value)
        yield cluster
    assert cluster.processes.survivors() == []


def on(cluster: LocalCluster, environment: str = "PROCESS") -> str:
    return f"job.beam={json.dumps(cluster.beam_options(environment))}"


def processes_of_jobs(cluster: LocalCluster) -> list[str]:
    """Command lines of what jobs have started: all processes of the cluster but its own parts."""
    parts = {status.pid for status in cluster.processes.statuses()} | {int((cluster.folder / KEEPER).read_text().split()[0])}
    files = [Path(f"/proc/{pid}/cmdline") for pid in cluster.processes.survivors() if pid not in parts]
    return [file.read_text() for file in files if file.is_file()]


def wait_for(condition, run: subprocess.Popen[str] | None = None, limit_s: float = LIMIT_S) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s and (run is None or run.poll() is None)
        time.sleep(0.1)


def below(pid: int) -> list[int]:
    return [one for child in children_of(pid) for one in (child, *below(child))]


@pytest.mark.parametrize("cluster", ["flink"], indirect=True)
def test_no_file_is_shared_but_the_bucket_and_a_task_manager_is_lost(
    cluster: LocalCluster, clips: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    for bucket in ("raw", "out"):
        cluster.store.filesystem().create_dir(bucket)
    source, out = Place.of("s3://raw/clips"), Place.of("s3://out/curated")
    for clip in clips.iterdir():
        (source / clip.name).put(clip)
    packs = out / ".cache" / "measure"

    def put_at() -> dict[Place, int | None]:
        return {pack: pack.info().mtime_ns for pack in packs.files(".pack", below=True)}

    run = curate(source, out, on(cluster), cwd=tmp_path)
    try:
        wait_for(put_at, run)
        (lost,) = [s.pid for s in cluster.processes.statuses() if s.name == "task-manager-0"]
        workers = below(lost)
        assert workers, "a task manager without a Python worker"
        cluster.kill_task_manager(0)
        wait_for(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").is_dir()], limit_s=10.0)
        before = put_at()
        assert not (out / "measure" / MANIFEST).is_file(), "not in the middle"
        cluster.start_task_manager()
        see_it_through(run)
    finally:
        run.kill()
    after = put_at()
    assert {pack: after.get(pack) for pack in before} == before, "computed again although it was in the store"
    assert len(after) == len(list(clips.iterdir()))
    assert stages_that_differ(out, expected) == []
    wait_for(lambda: not processes_of_jobs(cluster), limit_s=30.0)


@pytest.mark.parametrize("cluster", ["spark"], indirect=True)
def test_the_same_graph_on_spark(cluster: LocalCluster, clips: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    # Workers in the driver's process: Beam's Spark runner would start a Python process for each of its many steps.
    see_it_through(curate(clips, tmp_path / "out", on(cluster, "LOOPBACK"), cwd=tmp_path))
    assert stages_that_differ(tmp_path / "out", expected) == []
    wait_for(lambda: not processes_of_jobs(cluster), limit_s=30.0)


def test_from_bucket_to_bucket_of_google_cloud_storage(clips: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    with served("gs", tmp_path / "store") as bucket:
        for clip in clips.iterdir():
            (bucket / "raw/clips" / clip.name).put(clip)
        see_it_through(curate(bucket / "raw/clips", bucket / "out", cwd=tmp_path))
        assert stages_that_differ(bucket / "out", expected) == []
        puts = {file: file.info().mtime_ns for file in (bucket / "out").files(below=True)}
        see_it_through(curate(bucket / "raw/clips", bucket / "out", cwd=tmp_path))
        assert stages_that_differ(bucket / "out", expected) == []
        again = {file for file in (bucket / "out").files(below=True) if file.info().mtime_ns != puts.get(file)}
        assert not [file for file in again if file.name.endswith(".pack") or file.name.startswith("part-")], "written again"
        (bucket / "mine/deep/notes.txt").put(b"")
        refused = curate(bucket / "raw/clips", bucket / "mine", cwd=tmp_path)
        assert "mine: " in refused.communicate(timeout=LIMIT_S)[0] and refused.returncode == 2
