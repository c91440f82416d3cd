"""Runs the page: nothing is fetched from elsewhere, and no file is left when it ends."""

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pipelines.demo.limits import Limits
from pipelines.demo.password import doorkeeper
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import own_folder
from space_data.params import Params

LOOPBACK = "127.0.0.1"
WAITING_MOST = 16
"""Visitors in the queue; whoever comes after is told to come again."""
OF_GRADIO = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Its own switches for what it would tell, or ask, the network."""


@contextmanager
def served(
    params: Params, models: Path, limits: Limits, host: str = LOOPBACK, port: int | None = None, password: str | None = None
) -> Iterator[str]:
    """The page's address, for as long as the block runs; uploads and results are removed after it.

    ``password``: what visitors have to know; None: nothing.

    Folders of servers that were killed are removed by the next one on this machine.

    Raises:
        SpaceError: Gradio is not installed, there are no models, or the port is taken.
    """
    if find_spec("gradio") is None:
        raise SpaceError("space demo: needs Gradio, which is not installed (`pip install gradio`, or the extra 'demo')")
    root = own_folder(Path(tempfile.gettempdir()) / f"space-demo-{os.getuid()}")
    try:
        os.chmod(root, 0o700)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio asks itself whether it is there
        os.environ.update(OF_GRADIO | {"GRADIO_TEMP_DIR": str(root)})  # read when it is imported
        from pipelines.demo.page import CSS, THEME, page
        from pipelines.demo.studio import Studio

        blocks = page(Studio(root, params, models, limits))
        blocks.queue(max_size=WAITING_MOST, default_concurrency_limit=1, api_open=False)
        try:
            _, address, _ = blocks.launch(
                server_name=host, server_port=port, share=False, inbrowser=False, quiet=True, prevent_thread_lock=True,
                auth=None if password is None else doorkeeper(password), theme=THEME, css=CSS, footer_links=[],
                run_history=False, max_file_size=int(limits.upload_mb * 1e6), enable_monitoring=False, ssr_mode=False,
                mcp_server=False, pwa=False, show_error=False,
            )  # fmt: skip
        except OSError as error:
            raise SpaceError(f"space demo: {host}, port {port or 'any'}: {error} (another --port, or --host?)") from error
        try:
            yield address
        finally:
            blocks.close(verbose=False)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def serve(params: Params, models: Path, limits: Limits, host: str, port: int | None, password: str | None = None) -> None:
    """Serve until Ctrl-C.

    Raises:
        SpaceError: see ``served``.
    """
    with served(params, models, limits, host, port, password) as address:
        progress.console.print(f"{address}   (Ctrl-C ends it)", soft_wrap=True, highlight=False)
        if host != LOOPBACK:
            who = "everybody who can reach this address" + (" and knows the password" if password else "")
            progress.console.print(f"{who} can use the page", soft_wrap=True, highlight=False)
        threading.Event().wait()
