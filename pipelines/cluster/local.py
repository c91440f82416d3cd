"""A local cluster: Flink or Spark, Beam's job server and an S3 server, on free ports of loopback.

    with LocalCluster(task_managers=2) as cluster:
        options = PipelineOptions(cluster.beam_options())

Each task manager has a working directory of its own, in which it starts Python workers of its own (Beam's PROCESS
environment). They share the installed code and the S3 server and nothing else, as on as many machines.
"""

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pipelines.cluster import flink, spark, store
from pipelines.cluster.keeper import ENDED, KEEPER, LOGS, PIDS, WANTED
from pipelines.cluster.parts import Parts, prepare
from pipelines.cluster.processes import LOOPBACK, ROOT, Processes, Status, free_ports, listens
from pipelines.cluster.store import Store
from space_data.errors import SpaceError

KINDS = ("flink", "spark")
READY_S = 120.0
"""Limit for each part to answer; the slowest, a job manager, takes some 5 s on an idle machine."""
CLUSTER_FILE = "cluster.json"
STALE = (WANTED, PIDS, ENDED, LOGS, KEEPER, CLUSTER_FILE, "task-manager-*", "job-manager", "job-server", "s3")
"""What an earlier cluster has left in the folder."""
BOOT = """#!/bin/sh
# Starts one Python worker of Beam's, in the folder of the task manager that asks for it.
{exports}
exec {python} -P -m pipelines.cluster.worker "$@"
"""


class LocalCluster:
    """A cluster that is up between ``start`` and ``stop``, or inside ``with``.

    Args:
        kind: ``flink`` or ``spark``.
        task_managers: how many to begin with (Spark calls them workers).
        slots: elements that each works on at a time.
        folder: run folder: logs, ids, working directories. Default: a temporary one, deleted at the end.
        parts: cache of the parts.
    """

    def __init__(
        self, kind: str = "flink", task_managers: int = 2, slots: int = 1, folder: Path | None = None, parts: Path | None = None
    ) -> None:
        if kind not in KINDS:
            raise SpaceError(f"cluster kind {kind!r}: need one of {', '.join(KINDS)}")
        self.kind, self.task_managers, self.slots = kind, task_managers, slots
        self._temporary = tempfile.TemporaryDirectory(prefix="space-cluster-") if folder is None else None
        self.folder = Path(self._temporary.name if self._temporary else folder or "").resolve()
        self._parts_folder = parts
        self.processes = Processes(self.folder)
        self._ports: dict[str, int] = {}

    def start(self, with_parent: bool = True) -> None:
        """Fetch what is missing and start everything; returns when jobs can be sent.

        Args:
            with_parent: end the cluster when this process ends, however it ends.

        Raises:
            SpaceError: a cluster runs in this folder already, a tool or part is missing, or a process does not come up.
        """
        if self.processes.survivors():
            raise SpaceError(f"{self.folder}: a cluster runs here (`space cluster down` ends it)")
        self.parts: Parts = prepare(self.kind, self._parts_folder)
        for pattern in STALE:
            for path in self.folder.glob(pattern):
                _remove(path)
        names = ("s3", "web", "master", "job", "artifact", "expansion")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.processes.open(with_parent)
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise

    def _start_all(self) -> None:
        self._write_boot()
        self.processes.start("s3", store.server(self.parts.s3_server, self._ports["s3"], self.folder))
        head, port = self.folder / "job-manager", self._ports
        job_ports = [port[name] for name in ("job", "artifact", "expansion")]
        if self.kind == "flink":
            self.processes.start("job-manager", flink.job_manager(self.parts, head, port["web"], port["master"]))
            server = flink.job_server(self.parts, self.folder / "job-server", port["web"], job_ports)
        else:
            self.processes.start("job-manager", spark.master(self.parts, head, port["master"], port["web"]))
            server = spark.job_server(self.parts, self.folder / "job-server", port["master"], job_ports)
        self.processes.start("job-server", server)
        for _ in range(self.task_managers):
            self.start_task_manager(wait=False)
        self._wait_for("job-manager", lambda: self.registered() >= self.task_managers)
        self._wait_for("job-server", lambda: listens(port["job"]))
        self._wait_for("s3", lambda: listens(port["s3"]))
        facts = {"kind": self.kind, "task_managers": self.task_managers, "slots": self.slots, "ports": port}
        facts["parts"] = str(self.parts.folder)
        (self.folder / CLUSTER_FILE).write_text(json.dumps(facts, indent=1))

    def stop(self) -> None:
        """End everything; nothing of the cluster runs afterwards."""
        self.processes.close()
        _remove(self.folder / CLUSTER_FILE)
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """The cluster that runs in ``folder``.

        Raises:
            SpaceError: none does.
        """
        file = folder / CLUSTER_FILE
        if not file.is_file() or not Processes(folder.resolve()).is_open():
            raise SpaceError(f"{folder}: no cluster runs here (`space cluster up` starts one)")
        facts = json.loads(file.read_text())
        cluster = cls(facts["kind"], facts["task_managers"], facts["slots"], folder)
        cluster._ports, cluster.parts = facts["ports"], Parts(facts["kind"], Path(facts["parts"]))
        return cluster

    @property
    def store(self) -> Store:
        """The S3 server."""
        return Store(self._ports["s3"])

    @property
    def web_page(self) -> str:
        """Address of the engine's own page about its jobs."""
        return f"http://{LOOPBACK}:{self._ports['web']}"

    def beam_options(self, environment: str = "PROCESS", parallelism: int | None = None) -> list[str]:
        """Options with which a Beam pipeline runs here.

        Args:
            environment: ``PROCESS``: the task managers start the Python workers; ``LOOPBACK``: the workers are threads of the
                process that sends the job, for a debugger (see ``quiet.hide_job_end``).
            parallelism: elements worked on at a time (default: all slots).
        """
        options = ["--runner=PortableRunner", f"--job_endpoint={LOOPBACK}:{self._ports['job']}"]
        options.append(f"--environment_type={environment}")
        if environment == "PROCESS":
            options.append(f"--environment_config={json.dumps({'command': str(self.folder / 'boot')})}")
        # Spark takes its partitions from the cluster's cores, and its job server refuses options that it does not know.
        return options + ([f"--parallelism={parallelism or self.task_managers * self.slots}"] if self.kind == "flink" else [])

    def registered(self) -> int:
        """Number of task managers that the job manager counts on."""
        return (flink if self.kind == "flink" else spark).registered(self._ports["web"])

    def start_task_manager(self, wait: bool = True) -> int:
        """Start one more task manager; returns its number when it is at work."""
        number = len(self._task_managers())
        folder = self.folder / f"task-manager-{number}"
        make = flink.task_manager if self.kind == "flink" else spark.worker
        command = make(self.parts, folder, self._ports["master"], self.slots)
        command.argv[:0] = ["taskset", "--cpu-list", self._cores(number)]
        self.processes.start(folder.name, command)
        if wait:
            running = [status for status in self._task_managers() if status.running]
            self._wait_for(folder.name, lambda: self.registered() >= len(running))
        return number

    def _cores(self, number: int) -> str:
        """A task manager's share of the cores, as if it had a machine of its own: `job.workers: auto` counts them."""
        cores = sorted(os.sched_getaffinity(0))
        share = cores[number % self.task_managers :: self.task_managers] or [cores[number % len(cores)]]
        return ",".join(map(str, share))

    def kill_task_manager(self, number: int) -> None:
        """Lose a task manager as one loses a machine: no warning, and its workers are gone with it."""
        self.processes.kill(f"task-manager-{number}")

    def _task_managers(self) -> list[Status]:
        """All that were ever started, the dead ones too."""
        return [status for status in self.processes.statuses() if status.name.startswith("task-manager-")]

    def _wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        self.processes.wait_until(name, ready, READY_S, lambda: self.processes.is_running(name), name)

    def _write_boot(self) -> None:
        """The command of Beam's PROCESS environment: this Python, this code, this S3 server."""
        env = self.store.environment() | {"PYTHONPATH": str(ROOT)}
        exports = [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
        boot = self.folder / "boot"
        boot.write_text(BOOT.format(exports="\n".join(exports), python=shlex.quote(sys.executable)))
        boot.chmod(0o755)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
