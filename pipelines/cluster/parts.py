"""Fetch the parts of a local cluster, once, into a cache folder; each by the ordinary client of its registry."""

import logging
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.cluster.pins import FLINK, JAVA, JOB_SERVER, JOB_SERVERS, SPARK, STORE_SERVERS, SourceArchive
from space_data.errors import SpaceError
from space_data.files import make_folder

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parent / "assets"
GET_TOOL = {
    "java": "Java 17 (on Debian and Ubuntu: `apt-get install openjdk-17-jre-headless`)",
    "mvn": "Apache Maven (on Debian and Ubuntu: `apt-get install maven`)",
}
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>open-space</groupId><artifactId>job-server</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.beam</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
</dependency></dependencies></project>
"""
LINES_OF_ERROR = 15


@dataclass(frozen=True)
class Parts:
    """Where the parts of one kind of cluster lie."""

    kind: str
    folder: Path

    @property
    def engine(self) -> Path:
        """Unpacked engine: ``lib`` and ``bin`` of Flink, ``jars`` of Spark."""
        return self.folder / (f"flink-{FLINK.version}" if self.kind == "flink" else f"spark-{SPARK.version}")

    @property
    def job_server(self) -> Path:
        """Folder whose file ``classpath`` lists the job server's jars, in order."""
        return self.folder / f"{self.kind}-job-server-{JOB_SERVER}"

    @property
    def s3_server(self) -> Path:
        """Virtual environment of the S3 server."""
        return _store_server_folder("s3", self.folder)

    def job_server_jars(self) -> list[Path]:
        """Jars of the job server in the order that Maven gives."""
        return [Path(line) for line in (self.job_server / "classpath").read_text().split(os.pathsep)]


def default_folder() -> Path:
    """Where parts are kept unless another folder is named."""
    return Path.home() / ".cache" / "open-space" / "cluster"


def missing_tools() -> list[str]:
    """Programs that are needed and not here, in words that say how to get them."""
    return [words for name, words in GET_TOOL.items() if shutil.which(name) is None]


def check_tools() -> None:
    """See that Linux, Java and Maven are here.

    Raises:
        SpaceError: one of them is not, or Java is of a release that the engines do not support.
    """
    if sys.platform != "linux":
        raise SpaceError(f"a local cluster needs Linux, found {sys.platform} (in a container it works on any machine)")
    if missing := missing_tools():
        raise SpaceError(f"a local cluster needs {' and '.join(missing)}")
    told = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) not in JAVA:
        first = told.splitlines()[0] if told else "nothing"
        raise SpaceError(f"java -version says {first!r}; need {GET_TOOL['java']}, first in PATH")


def prepare(kind: str, folder: Path | None = None) -> Parts:
    """Fetch what a cluster of ``kind`` needs and is not in ``folder`` yet.

    Args:
        kind: ``flink`` or ``spark``.
        folder: cache of the parts (default: ``default_folder()``).

    Raises:
        SpaceError: a tool is missing, or a part cannot be fetched or is not what it should be.
    """
    check_tools()
    folder = (folder or default_folder()).resolve()
    make_folder(folder)
    parts = Parts(kind, folder)
    engine = FLINK if kind == "flink" else SPARK
    _step(parts.engine, f"{engine.name} {engine.version}", lambda into: _unpack(engine, into))
    _step(parts.job_server, f"Beam's job server for {kind} {JOB_SERVER}", lambda into: _resolve_jars(JOB_SERVERS[kind], into))
    store_server("s3", folder)
    if gone := [jar for jar in parts.job_server_jars() if not jar.is_file()]:
        shutil.rmtree(parts.job_server)
        raise SpaceError(f"{gone[0]}: was removed from Maven's own cache; the same command fetches it again")
    return parts


def _step(target: Path, words: str, make: Callable[[Path], None]) -> None:
    """Let ``make`` fill a folder beside ``target`` and rename it when it is whole; nothing if ``target`` is there."""
    if target.is_dir():
        return
    logger.info("fetching %s", words)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        part = Path(scratch) / "part"
        part.mkdir()
        make(part)
        if not target.is_dir():  # another process may have been faster
            part.rename(target)
    logger.info("%s: fetched in %.0f s", words, time.monotonic() - began_s)


def _call(command: list[str], words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run a client; its last lines become the error if it fails."""
    done = subprocess.run(command, cwd=cwd, env=os.environ | (env or {}), capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-LINES_OF_ERROR:])
        raise SpaceError(f"{words} cannot be fetched: `{command[0]}` ended with status {done.returncode}\n{tail}")


def _unpack(archive: SourceArchive, into: Path) -> None:
    """Download a source archive, by its hash, and unpack the folders that are wanted of it."""
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        pinned = Path(scratch) / "pinned.txt"
        pinned.write_text(f"{archive.name}=={archive.version} --hash=sha256:{archive.sha256}\n")
        options = ["--quiet", "--no-deps", "--no-binary", archive.name, "--require-hashes", "--dest", scratch, "-r", str(pinned)]
        _call([sys.executable, "-m", "pip", "download", *options], f"{archive.name} {archive.version}")
        (file,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(file) as tar:
            top = file.name.removesuffix(".tar.gz")
            wanted = tuple(f"{top}/{folder}/" for folder in archive.folders)
            tar.extractall(scratch, [member for member in tar if member.name.startswith(wanted)], filter="data")
        for folder in archive.folders:
            (Path(scratch) / top / folder).rename(into / Path(folder).name)


def _resolve_jars(artifact: str, into: Path) -> None:
    """Have Maven fetch an artifact of Beam's with all it depends on, into its own cache; note the class path."""
    (into / "pom.xml").write_text(POM.format(artifact=artifact, version=JOB_SERVER))
    command = ["mvn", "--quiet", "--batch-mode", "dependency:build-classpath", "-Dmdep.outputFile=classpath"]
    _call([*command, "-Dmaven.artifact.threads=16"], f"{artifact} {JOB_SERVER}", cwd=into)


def store_server(scheme: str, folder: Path | None = None) -> Path:
    """Virtual environment of the server of a kind of store; it needs Python alone.

    Args:
        scheme: ``s3``, or ``gs`` (which no cluster has: it is for tests).
        folder: cache of the parts (default: ``default_folder()``).

    Raises:
        SpaceError: it cannot be fetched.
    """
    target = _store_server_folder(scheme, folder or default_folder())
    make_folder(target.parent)
    package, pinned = STORE_SERVERS[scheme]

    def install(into: Path) -> None:
        _call([sys.executable, "-m", "venv", str(into)], "a virtual environment")
        pip = [str(into / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
        _call([*pip, "-r", str(ASSETS / pinned)], package)

    _step(target, f"the server of {scheme}://, {package} {pinned_version(scheme)}", install)
    return target


def _store_server_folder(scheme: str, folder: Path) -> Path:
    return folder / f"{scheme}-server-{pinned_version(scheme)}"


def pinned_version(scheme: str) -> str:
    """Version of the server of a kind of store, as its asset pins it."""
    package, pinned = STORE_SERVERS[scheme]
    found = re.search(rf"^{package}==(\S+)", (ASSETS / pinned).read_text(), re.M)
    assert found, f"{pinned} names no {package}"
    return found[1]
