"""How Apache Flink's processes are started: one job manager, task managers, Beam's job server."""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

import yaml

from pipelines.cluster.parts import ASSETS, Parts
from pipelines.cluster.processes import LOOPBACK, Command
from space_data.errors import SpaceError

_EXPORTS = ("java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")
_OPENS = (
    "java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio", "java.base/sun.nio.ch",
    "java.base/java.lang.reflect", "java.base/java.text", "java.base/java.time", "java.base/java.util",
    "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic", "java.base/java.util.concurrent.locks",
)  # fmt: skip
JAVA_17 = [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS] + [f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS]
"""What Java 17 must open: `env.java.opts.all` of the configuration that Flink ships, without its compiler's."""
QUICK = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
"""Less work at the start, on few cores: Java only moves rows here, the work is done in Python."""
RESULT = "BASH_JAVA_UTILS_EXEC_RESULT:"
HEARTBEAT_MS = {"interval": 2000, "timeout": 10_000}
"""A lost task manager is noticed after 10 s, not after Flink's 50."""
UNSENT = "gradle/wrapper"
"""Beam's job server hands all its jars to the engine with each job, but for those in such a folder (`PipelineResources`)."""
RESTARTS = {
    "type": "failure-rate",
    "failure-rate": {"max-failures-per-interval": 3, "failure-rate-interval": "5 min", "delay": "12 s"},
}
"""The delay is longer than the heartbeat's timeout: an attempt that still counts on a lost task manager fails at once, and Beam's
runner then forgets a Python worker."""


def _log4j(folder: Path) -> list[str]:
    return [f"-Dlog4j.configurationFile=file:{ASSETS / 'log4j2.properties'}", f"-Djava.io.tmpdir={folder}"]


def _configure(folder: Path, config: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def _class_path(parts: Parts) -> str:
    """Flink's own jars, then Beam's: where the engine has them, a job need not bring 150 MB along, which takes a minute."""
    beam = [str(jar) for jar in parts.job_server_jars() if not jar.name.startswith("flink-")]
    return os.pathsep.join([f"{parts.engine}/lib/*", *beam])


def job_manager(parts: Parts, folder: Path, rest_port: int, rpc_port: int) -> Command:
    """The job manager, with its configuration written to ``folder``."""
    config: dict[str, object] = {
        "jobmanager": {
            "rpc": {"address": LOOPBACK, "port": rpc_port}, "bind-host": LOOPBACK, "memory": {"process": {"size": "1024m"}},
        },
        "rest": {"address": LOOPBACK, "bind-address": LOOPBACK, "port": rest_port},
        "restart-strategy": RESTARTS,
        "heartbeat": HEARTBEAT_MS,
        "io": {"tmp": {"dirs": str(folder)}},
    }  # fmt: skip
    _configure(folder, config)
    entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    argv = ["java", "-Xmx512m", *QUICK, *JAVA_17, *_log4j(folder), "-cp", _class_path(parts)]
    return Command([*argv, entry, "--configDir", str(folder)], folder)


def task_manager(parts: Parts, folder: Path, rpc_port: int, slots: int) -> Command:
    """A task manager that works in ``folder``; its workers do too."""
    config: dict[str, object] = {
        "jobmanager": {"rpc": {"address": LOOPBACK, "port": rpc_port}},
        "taskmanager": {
            "host": LOOPBACK, "bind-host": LOOPBACK, "numberOfTaskSlots": slots, "memory": {"process": {"size": "1400m"}},
            "resource-id": folder.name,
        },
        "heartbeat": HEARTBEAT_MS,
        "io": {"tmp": {"dirs": str(folder)}},
    }  # fmt: skip
    _configure(folder, config)
    flags, settings = _memory(parts.engine, (folder / "config.yaml").read_text().replace(folder.name, "any"))
    argv = ["java", *flags, *QUICK, *JAVA_17, *_log4j(folder), "-cp", _class_path(parts)]
    argv += ["org.apache.flink.runtime.taskexecutor.TaskManagerRunner", "--configDir", str(folder), *settings]
    return Command(argv, folder)


@cache
def _memory(engine: Path, config: str) -> tuple[list[str], list[str]]:
    """Java's flags and Flink's settings for a task manager's memory, from Flink's own helper (a JVM: hence cached)."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(config)
        utils = ["-cp", f"{engine}/bin/bash-java-utils.jar:{engine}/lib/*", "org.apache.flink.runtime.util.bash.BashJavaUtils"]
        command = ["java", *QUICK, *utils, "GET_TM_RESOURCE_PARAMS", "--configDir", folder]
        told = subprocess.run(command, capture_output=True, text=True)
    lines = [line.removeprefix(RESULT) for line in told.stdout.splitlines() if line.startswith(RESULT)]
    if len(lines) != 2:
        raise SpaceError(f"Flink cannot size a task manager's memory: {told.stdout[-500:]}{told.stderr[-500:]}")
    return lines[0].split(), lines[1].split()


def job_server(parts: Parts, folder: Path, rest_port: int, ports: list[int]) -> Command:
    """Beam's job server in front of the job manager; ``ports`` are its job, artifact and expansion port."""
    jars = unsent([*parts.job_server_jars(), *sorted(parts.engine.glob("lib/log4j-*.jar"))], folder)
    entry = ["org.apache.beam.runners.flink.FlinkJobServerDriver", f"--flink-master={LOOPBACK}:{rest_port}"]
    argv = ["java", "-Xmx512m", *QUICK, *JAVA_17, *_log4j(folder), "-cp", os.pathsep.join(map(str, jars)), *entry]
    return Command(argv + job_server_options(ports, folder), folder)


def unsent(jars: list[Path], folder: Path) -> list[Path]:
    """The same jars where the job server does not send them from; it would look through symbolic links."""
    into = folder / UNSENT
    into.mkdir(parents=True)
    for jar in jars:
        try:
            (into / jar.name).hardlink_to(jar)
        except OSError:  # on another disk
            shutil.copy(jar, into)
    return [into / jar.name for jar in jars]


def job_server_options(ports: list[int], folder: Path) -> list[str]:
    """What the job servers of all engines are told: their ports, and where they keep what jobs bring along."""
    job, artifact, expansion = ports
    return [
        f"--job-host={LOOPBACK}", f"--job-port={job}", f"--artifact-port={artifact}", f"--expansion-port={expansion}",
        f"--artifacts-dir={folder / 'artifacts'}",
    ]  # fmt: skip


def registered(rest_port: int) -> int:
    """Number of task managers that the job manager knows; 0 while it does not answer."""
    return int(ask(f"http://{LOOPBACK}:{rest_port}/overview").get("taskmanagers", 0))


def ask(address: str) -> dict:
    """JSON that an engine answers; empty while it does not."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return {}
