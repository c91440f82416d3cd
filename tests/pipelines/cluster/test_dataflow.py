"""Dataflow by flag: Beam's own runner and Google's own clients, against stand-ins of the two services on loopback.

``pip install 'open-space[cluster]'`` brings the clients; without them these tests are skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from dataflow_service import Service, serving
from store_servers import served

from pipelines.job import graph
from pipelines.job.stage import Context
from pipelines.layout import Layout
from pipelines.stages import CURATION
from pipelines.stages.ingest import STAGE
from space_data.errors import SpaceError
from space_data.manifest import MANIFEST
from space_data.params import load_params
from space_data.store import Place

HAS_CLIENTS = all(find_spec(name) for name in ("google.cloud", "apitools")) and find_spec("google.cloud.dataflow") is not None
with_clients = pytest.mark.skipif(not HAS_CLIENTS, reason="Google's clients are absent (pip install 'open-space[cluster]')")
REPOSITORY = Path(__file__).resolve().parents[3]
CLIP = REPOSITORY.parent / "shared" / "media" / "mead_sad_m_1080p_444.mp4"
IMAGE = "registry.example/open-space-worker:1"
OPTIONS = (
    "--runner=DataflowRunner", "--project=my-project", "--region=europe-west1", "--temp_location=gs://bucket/temp",
    f"--sdk_container_image={IMAGE}",
)  # fmt: skip
LIMIT_S = 900.0


def test_a_machine_runs_one_worker_with_one_pool() -> None:
    experiments = [
        graph.beam_options(options).get_all_options()["experiments"] for options in (OPTIONS, ["--runner=FnApiRunner"])
    ]
    assert experiments == [["no_use_multiple_sdk_containers"], None]


@pytest.mark.skipif(HAS_CLIENTS, reason="Google's clients are here")
def test_what_is_missing_is_said_in_a_line(tmp_path: Path) -> None:
    params = load_params(None, [f"job.beam={json.dumps(OPTIONS)}"])
    run = graph.Run.of(STAGE, Context(params, Layout.in_folder(tmp_path), 1))
    with pytest.raises(SpaceError, match=r"^job.beam: Google Cloud Dataflow runner not available.*open-space\[cluster\]"):
        graph.execute(run)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A bucket, which Google's clients take for the real one; they look for no credentials."""
    with served("gs", tmp_path / "store") as bucket:
        port = bucket.uri.partition("127.0.0.1:")[2].partition("&")[0]
        environment = {
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
            "NO_GCE_CHECK": "true",
            "GCE_METADATA_HOST": "127.0.0.1:1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield bucket


def curate(source: Place | Path, out: Place | Path, beam: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli", "data", "curate", Place.of(source).uri]
    command += ["--out", Place.of(out).uri, "-q", "--set", "job.shards=1", "--set", f"job.beam={json.dumps(beam)}"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@with_clients
@pytest.mark.cluster
@pytest.mark.skipif(not CLIP.is_file(), reason="no real clip here")
def test_every_stage_is_a_job_that_gives_the_local_runners_bytes(bucket: Place, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    shutil.copy(CLIP, tmp_path / "clips")
    (bucket / "clips" / CLIP.name).put(CLIP)
    local = curate(tmp_path / "clips", tmp_path / "out", ["--runner=FnApiRunner"], tmp_path)
    assert local.returncode == 0, local.stderr
    with serving(Service("?" + bucket.uri.partition("?")[2])) as service:
        beam = [*OPTIONS, "--no_auth", f"--dataflow_endpoint=http://localhost:{service.port}"]
        done = curate(bucket / "clips", bucket / "out", beam, tmp_path)
    assert done.returncode == 0, done.stderr
    for stage in (stage for stage in CURATION if stage != "align"):
        assert (bucket / "out" / stage / MANIFEST).read() == (tmp_path / "out" / stage / MANIFEST).read_bytes(), stage
    assert len(service.jobs) > 3 and set(service.states) == {"JOB_STATE_DONE"}
    for job in service.jobs:
        (pool,) = job["environment"]["workerPools"]
        assert [one["containerImage"] for one in pool["sdkHarnessContainerImages"]] == [IMAGE]
        assert "use_multiple_sdk_containers" not in job["environment"]["experiments"]


@with_clients
@pytest.mark.cluster
@pytest.mark.parametrize("said", [{"refuses": "the API is not enabled"}, {"fails": "Workflow failed. Causes: no quota"}])
def test_a_job_that_is_refused_or_fails_ends_with_one_line(bucket: Place, tmp_path: Path, said: dict[str, str]) -> None:
    (bucket / "clips/a.mp4").put(b"no video")
    with serving(Service("", **said)) as service:
        beam = [*OPTIONS, "--no_auth", f"--dataflow_endpoint=http://localhost:{service.port}"]
        done = curate(bucket / "clips", bucket / "out", beam, tmp_path)
    (words,) = said.values()
    assert done.returncode == 2 and done.stderr.startswith("error: ingest: Dataflow: ") and done.stderr.count("\n") == 1
    assert words in done.stderr
