"""Write docs/board/: pictures of a report and of TensorBoard, taken by headless Chromium.

Run from the root of the repository: python docs/make_board.py
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from recsim_env.experiments.board_command import event_folders, serve
from recsim_env.experiments.cli import main as recsim_env

FOLDER = Path(__file__).resolve().parent / "board"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
RUN = [
    "--rounds",
    "5000",
    "--replicates",
    "20",
    "--agents",
    "cascade_ucb,cascade_kl_ucb,cascade_ts,random",
    "--metrics",
    "coverage,ndcg",
]
PICTURES = {  # name: page of TensorBoard, width, height
    "custom_scalars": ("custom_scalars", 1200, 760),
    "slates": ("images", 1200, 760),
}


def main() -> None:
    """Run, report, serve, and take the pictures."""
    browser = os.environ.get("RECSIM_ENV_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("no chromium on PATH, nor in RECSIM_ENV_CHROMIUM: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    # from inside the folder: TensorBoard shows the path of its logs as it was given
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        home = Path(folder)
        run = home / "cascade_bandit"
        if recsim_env(["run", "cascade_bandit", *RUN, "--out", str(run)]):
            sys.exit("the run failed")
        recsim_env(["report", str(run), "--out", str(home / "report.html")])
        shoot(browser, (home / "report.html").as_uri(), "report", 1000, 1500)
        shoot(browser, (home / "report.html").as_uri(), "report_dark", 480, 1500, "--force-dark-mode")
        (logs := home / "logs").mkdir()
        (logs / "cascade_bandit").symlink_to(event_folders([run])["cascade_bandit"])
        address = serve(logs.name, "localhost", 0)
        for name, (page, width, height) in PICTURES.items():
            shoot(browser, f"{address}#{page}", name, width, height)


def shoot(browser: str, address: str, name: str, width: int, height: int, *flags: str) -> None:
    """Take a picture of a page, in 128 colours."""
    from PIL import Image

    picture = FOLDER / f"{name}.png"
    headless = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *flags]
    headless += ["--virtual-time-budget=15000", f"--screenshot={picture}"]
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [*headless, f"--user-data-dir={profile}", f"--window-size={width},{height}", address],
            check=True,
            capture_output=True,
            timeout=120,
        )
    Image.open(picture).convert("RGB").quantize(128).save(picture, optimize=True)
    sys.stdout.write(f"wrote {picture}: {picture.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    main()
