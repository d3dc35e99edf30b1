"""A page in a headless browser: what it shows, what it asks the network for, and what its console says."""

import json
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """Debian's chromium or another one; the test is skipped where there is none."""
    given = os.environ.get("RECSIM_ENV_CHROMIUM")
    found = given or next((path for name in NAMES if (path := shutil.which(name))), None)
    if not found:
        pytest.skip("no chromium on PATH, nor in RECSIM_ENV_CHROMIUM: apt-get install chromium")
    return found


def browse(*arguments: str, profile: Path, seconds: float = 90) -> subprocess.CompletedProcess[str]:
    """Run the browser to its end; no name but this machine's is looked up."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    flags += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    flags += [
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE localhost",
        f"--user-data-dir={profile}",
    ]
    flags += ["--enable-logging=stderr", "--virtual-time-budget=8000"]
    return subprocess.run(
        [chromium(), *flags, *arguments], capture_output=True, text=True, timeout=seconds, check=True
    )


def console(stderr: str) -> list[str]:
    """What the page wrote to its console."""
    return [line for line in stderr.splitlines() if "CONSOLE" in line]


HARNESS = """<!doctype html><title>harness</title><link rel="icon" href="data:,">
<iframe id="page" style="width:WIDTHpx;height:4000px;border:0"></iframe><pre id="found"></pre>
<script>
const frame = document.getElementById("page");
frame.addEventListener("load", () => {  // which waits for the images
  const inside = frame.contentDocument;
  const asked = frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name);
  let found;
  try { found = (LOOK)(inside, frame.contentWindow); } catch (error) { found = {error: String(error)}; }
  found.asked = asked.filter((name) => !name.startsWith("data:"));
  found.widths = [...inside.images].map((image) => image.naturalWidth);
  found.text = inside.body.innerText;
  found.title = inside.title;
  found.overflow = inside.documentElement.scrollWidth - inside.documentElement.clientWidth;
  document.getElementById("found").textContent = JSON.stringify(found);
});
frame.src = "page.html";
</script>"""


def look_at(page: Path, folder: Path, look: str = "() => ({})", width: int = 1000) -> dict:
    """Open a page in a frame of this width, and say what is in it.

    Args:
        page: the file.
        folder: to work in, empty.
        look: a function in JavaScript of the frame's document and window; what it returns is in the result.
        width: of the frame, in CSS pixels.

    Returns:
        `text` that can be seen, `title`, natural `widths` of the images, `overflow` in pixels by which the
        page is too wide, what it `asked` for, and the paths that a server was asked for, `served`; what is on
        the `console`.
    """
    shutil.copy(page, folder / "page.html")
    (folder / "harness.html").write_text(HARNESS.replace("WIDTH", str(width)).replace("LOOK", look))
    served: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            served.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/harness.html"
            done = browse("--dump-dom", address, profile=folder / "profile")
        finally:
            server.shutdown()
            thread.join()
    text = done.stdout.partition('<pre id="found">')[2].partition("</pre>")[0]
    for code, sign in (("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\xa0"), ("&amp;", "&")):
        text = text.replace(code, sign)
    return {**json.loads(text), "served": served, "console": console(done.stderr)}
