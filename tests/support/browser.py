"""A headless Chromium driven over its debugging protocol: real clicks and keys on real pages."""

import asyncio
import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--mute-audio", "--remote-debugging-port=0")  # fmt: skip
START_S, WAIT_S = 120.0, 60.0
MIDDLE = """(selector) => {
  const element = document.querySelector(selector);
  if (!element) return {ok: false};
  element.scrollIntoView({block: "center", behavior: "instant"});
  const box = element.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  const hit = document.elementFromPoint(x, y);
  return {x, y, ok: Boolean(hit) && (element.contains(hit) || hit.contains(element))};
}"""


def chromium() -> str:
    """The browser's path; skips the test where there is none, or nothing to talk to it with."""
    pytest.importorskip("aiohttp", reason="no websocket client (aiohttp) to drive a browser with")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


class Page:
    """One tab. ``await`` everything; times out with what the page shows."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number = socket, 0
        self.requested: list[str] = []
        """addresses that the page has asked for, once ``Network.enable`` is called"""

    async def call(self, method: str, **params: Any) -> Any:
        """One command of the protocol."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        async for message in self._socket:
            told = json.loads(message.data)
            if told.get("method") == "Network.requestWillBeSent":
                self.requested.append(told["params"]["request"]["url"])
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]
        raise AssertionError("the browser has gone")

    async def run(self, script: str) -> Any:
        """Value of an expression in the page."""
        told = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, condition: str, wait_s: float = WAIT_S) -> None:
        """Wait for an expression to hold."""
        for _ in range(int(wait_s / 0.02)):
            if await self.run(condition):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"never became true: {condition}; the page says: {await self.run('document.body.innerText')}")

    async def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse, scrolled into view, once it is there and nothing covers it."""
        await self.until(f"({MIDDLE})({json.dumps(selector)}).ok")
        box = await self.run(f"({MIDDLE})({json.dumps(selector)})")
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=box["x"], y=box["y"], button="left", clickCount=1)

    async def press(self, key: str) -> None:
        """Press and let go of a key that types one character, or of Enter."""
        text = {"Enter": "\r"}.get(key, key)
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def upload(self, selector: str, path: Path) -> None:
        """Choose a file in a file input, which may be hidden."""
        root = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.call("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        assert node, f"no {selector}"
        await self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    async def go(self, url: str) -> None:
        """Load another page in this tab."""
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState == 'complete'")

    async def screenshot(self, path: Path) -> None:
        """What is on screen, as PNG."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))


class Browser:
    """``async with Browser(profile) as browser: page = await browser.open(url)``."""

    def __init__(self, profile: Path) -> None:
        self._command = [chromium(), *FLAGS, f"--user-data-dir={profile}"]
        self._port_file = profile / "DevToolsActivePort"

    async def __aenter__(self) -> "Browser":
        import aiohttp

        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._http = aiohttp.ClientSession()
        for _ in range(int(START_S / 0.05)):
            if self._port_file.is_file() and len(lines := self._port_file.read_text().splitlines()) > 1:
                self._address = f"127.0.0.1:{lines[0]}"
                return self
            await asyncio.sleep(0.05)
        await self.__aexit__()
        raise AssertionError("Chromium did not open its debugging port")

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
        self._process.terminate()
        self._process.wait(60)

    async def open(self, url: str) -> Page:
        """A new tab."""
        async with self._http.put(f"http://{self._address}/json/new?about:blank") as reply:
            target = await reply.json()
        socket = await self._http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
        page = Page(socket)
        await page.call("Page.bringToFront")
        await page.go(url)
        return page
