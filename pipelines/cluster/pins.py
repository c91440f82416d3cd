"""The parts of a local cluster and their exact versions; ``docs/scale.md`` has them as a table.

Beam's job server is older than its SDK: 2.62.0 is the newest whose every jar could be had as an ordinary Maven dependency when
this was written (the bundled ``*-job-server`` jars could not). It takes the jobs of the SDK that ``requirements.lock`` names.
On a cluster of one's own, use the job server of the SDK's version.
"""

from dataclasses import dataclass

JAVA = (11, 17)
"""Releases of Java that Flink 1.19 and Spark 3.5 both support."""


@dataclass(frozen=True)
class SourceArchive:
    """A Python source archive that is fetched for the jars in it and never installed."""

    name: str
    version: str
    sha256: str
    folders: tuple[str, ...]
    """what is unpacked of it, relative to the archive's top folder"""


FLINK = SourceArchive(
    "apache-flink-libraries", "1.19.3",
    "4a58e3a1fb7d83340bc96b6c080624c6d792d69fae5d294b96224775204a9c60", ("deps/lib", "deps/bin"),
)  # fmt: skip
SPARK = SourceArchive("pyspark", "3.5.7", "80e36514e0c5c126d35a26adf4f405cd4a69de96a8ea8a3c1e9a65fce2fb4eaa", ("deps/jars",))
JOB_SERVER = "2.62.0"
JOB_SERVERS = {"flink": "beam-runners-flink-1.19", "spark": "beam-runners-spark-3"}
"""Maven artifact of ``org.apache.beam`` for each engine."""
STORE_SERVERS = {"s3": ("moto", "s3-server.txt"), "gs": ("gcp-storage-emulator", "gs-server.txt")}
"""Scheme of a store → the package that serves it, and the asset that pins it and what it needs. They live in virtual environments
of their own and never meet the project's."""
