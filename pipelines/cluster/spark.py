"""How Apache Spark's processes are started: one master, workers, Beam's job server."""

import os
from pathlib import Path

from pipelines.cluster.flink import JAVA_17, QUICK, ask, job_server_options, unsent
from pipelines.cluster.parts import Parts
from pipelines.cluster.processes import LOOPBACK, Command

OPENS = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("sun.security.action", "sun.util.calendar", "sun.nio.cs")]
"""What Spark needs of Java 17 beside what Flink does."""


def _java(parts: Parts, memory: str) -> list[str]:
    return ["java", f"-Xmx{memory}", *QUICK, *JAVA_17, *OPENS, "-cp", f"{parts.engine}/jars/*"]


def _environment(parts: Parts, folder: Path) -> dict[str, str]:
    # The Scala release is said because Spark's launcher would look for it in a source tree of Spark.
    return {
        "SPARK_HOME": str(parts.engine), "SPARK_SCALA_VERSION": "2.12", "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_LOCAL_DIRS": str(folder / "local"),
    }  # fmt: skip


def master(parts: Parts, folder: Path, port: int, web_port: int) -> Command:
    """The master."""
    entry = "org.apache.spark.deploy.master.Master"
    argv = [*_java(parts, "512m"), entry, "--host", LOOPBACK, "--port", str(port), "--webui-port", str(web_port)]
    return Command(argv, folder, _environment(parts, folder))


def worker(parts: Parts, folder: Path, master_port: int, slots: int) -> Command:
    """A worker that works in ``folder``; its executors and their Python workers do too."""
    entry = ["org.apache.spark.deploy.worker.Worker", "--host", LOOPBACK, "--webui-port", "0", "--cores", str(slots)]
    argv = [*_java(parts, "512m"), *entry, "--memory", "1g", "--work-dir", str(folder), f"spark://{LOOPBACK}:{master_port}"]
    return Command(argv, folder, _environment(parts, folder))


def job_server(parts: Parts, folder: Path, master_port: int, ports: list[int]) -> Command:
    """Beam's job server, which is the driver of every job.

    Spark comes last in its class path and in that of the executors, which would otherwise take Spark's old Guava for Beam's; but
    it is Spark that writes the logs.
    """
    jars = [jar for jar in parts.job_server_jars() if not jar.name.startswith("slf4j-api-")]
    beam = os.pathsep.join(map(str, unsent(jars, folder)))
    entry = ["org.apache.beam.runners.spark.SparkJobServerDriver", f"--spark-master-url=spark://{LOOPBACK}:{master_port}"]
    argv = ["java", "-Xmx1g", *QUICK, *JAVA_17, *OPENS, "-Dspark.driver.host=127.0.0.1", "-Dspark.driver.bindAddress=127.0.0.1"]
    argv += ["-Dspark.ui.enabled=false", f"-Dspark.executor.extraClassPath={beam}"]
    argv += ["-cp", f"{beam}{os.pathsep}{parts.engine}/jars/*", *entry]
    return Command(argv + job_server_options(ports, folder), folder, _environment(parts, folder))


def registered(web_port: int) -> int:
    """Number of workers that the master holds for alive; 0 while it does not answer."""
    return int(ask(f"http://{LOOPBACK}:{web_port}/json/").get("aliveworkers", 0))
