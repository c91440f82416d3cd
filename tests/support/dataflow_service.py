"""A stand-in for the Dataflow service: takes a job over HTTP, as Google's does, and runs the pipeline that was staged for it.

The driver, Beam's Dataflow runner and Google's clients are the real ones; machines and containers are not: the staged pipeline
runs on Beam's local runner, in a process that has nothing of the driver but what was staged (and the same installed code).
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from space_data.store import Place


@dataclass
class Service:
    """What it was asked, and how it answers."""

    options: str
    """behind the ``gs://`` addresses of its store"""
    refuses: str = ""
    """so every job is answered"""
    fails: str = ""
    """the last words of every job"""
    port: int = 0
    jobs: list[dict[str, Any]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    def run(self, number: int) -> None:
        """One job, to its end."""
        url = self.jobs[number]["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
        with tempfile.TemporaryDirectory() as folder:
            staged = Path(folder) / "pipeline.pb"
            Place.of(f"{url}{self.options}").download(staged)
            done = subprocess.run([sys.executable, __file__, str(staged)], cwd=folder, check=False)
        self.states[number] = "JOB_STATE_DONE" if done.returncode == 0 else "JOB_STATE_FAILED"


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    """The service, on a free port of loopback."""

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _say(self, tree: dict[str, Any], status: int = 200) -> None:
            content = json.dumps(tree).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if service.refuses:
                self._say({"error": {"code": 403, "message": service.refuses, "status": "PERMISSION_DENIED"}}, 403)
                return
            number = len(service.jobs)
            service.jobs.append(job)
            service.states.append("JOB_STATE_FAILED" if service.fails else "JOB_STATE_RUNNING")
            if not service.fails:
                threading.Thread(target=service.run, args=(number,), daemon=True).start()
            self._say({"id": f"job-{number}", "currentState": "JOB_STATE_RUNNING", "clientRequestId": job["clientRequestId"]})

        def do_GET(self) -> None:
            words = {"id": "1", "messageText": service.fails, "messageImportance": "JOB_MESSAGE_ERROR"}
            if "/messages" in self.path:
                self._say({"jobMessages": [words | {"time": "2026-01-01T00:00:00Z"}] if service.fails else []})
            else:
                number = int(self.path.partition("/job-")[2].partition("?")[0])
                self._say({"id": f"job-{number}", "currentState": service.states[number]})

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        service.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield service
        finally:
            server.shutdown()


def run_staged(file: Path) -> None:
    """Run a staged pipeline here."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.portability.common_urns import environments
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    pipeline = beam_runner_api_pb2.Pipeline.FromString(file.read_bytes())
    for environment in pipeline.components.environments.values():
        assert environment.urn == environments.DOCKER.urn, "Dataflow takes no other"
        environment.urn, environment.payload = "beam:env:embedded_python:v1", b""
        del environment.dependencies[:]
    FnApiRunner().run_via_runner_api(pipeline, PipelineOptions()).wait_until_finish()


if __name__ == "__main__":
    run_staged(Path(sys.argv[1]))
