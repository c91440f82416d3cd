"""Servers of object stores on loopback, whose objects live as long as they do: S3's for a cluster, Google's for tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cluster.processes import LOOPBACK, Command

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

REGION = "us-east-1"


@dataclass(frozen=True)
class Store:
    """Where the S3 server answers and what it accepts: any key, since it serves this machine alone."""

    port: int
    access_key: str = "open-space"
    secret_key: str = "open-space"

    @property
    def endpoint(self) -> str:
        """Address of the server."""
        return f"http://{LOOPBACK}:{self.port}"

    def environment(self) -> dict[str, str]:
        """Variables with which S3 clients speak to this server alone; of pyarrow's, those made from an ``s3://`` address."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key, "AWS_DEFAULT_REGION": REGION,
            # otherwise the client asks the network for credentials and regions before it believes the ones above
            "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    def filesystem(self) -> "S3FileSystem":
        """The server's objects, as pyarrow sees them."""
        from pyarrow.fs import S3FileSystem

        return S3FileSystem(
            endpoint_override=self.endpoint, access_key=self.access_key, secret_key=self.secret_key, region=REGION,
            allow_bucket_creation=True,
        )  # fmt: skip


def server(environment: Path, port: int, folder: Path) -> Command:
    """The command that starts the S3 server, of the virtual environment ``environment``."""
    python = environment / "bin" / "python"
    return Command([str(python), "-m", "moto.server", "--host", LOOPBACK, "--port", str(port)], folder / "s3")


def gs_server(environment: Path, port: int, folder: Path) -> Command:
    """The command that starts a server of Google's API, of the virtual environment ``environment``."""
    python = environment / "bin" / "python"
    options = [f"--host={LOOPBACK}", f"--port={port}", "--in-memory", "--quiet"]
    return Command([str(python), "-m", "gcp_storage_emulator", "start", *options], folder / "gs")


def gs_options(port: int) -> str:
    """What stands behind a ``gs://`` address of that server: whom to ask, without TLS and without a key."""
    return f"?endpoint_override={LOOPBACK}:{port}&scheme=http&anonymous=true&project_id=open-space"
