"""Write docs/environments/: a page and a film of ten steps for every environment that needs no file.

Run from the root of the repository: python docs/make_pages.py
"""

from pathlib import Path

from recsim_env.envs.describe import describe, registered_ids, summary
from recsim_env.errors import InputError
from recsim_env.experiments.film import film, write_gif

FOLDER = Path(__file__).parent / "environments"


def main() -> None:
    """Write the pages and their list."""
    FOLDER.mkdir(exist_ok=True)
    lines = [
        "# Environments",
        "",
        "Each page is `recsim-env describe ID`, written by `python docs/make_pages.py`.",
        "",
    ]
    for env_id in registered_ids():
        page = describe(env_id).split("\n", 3)[3]  # without the title and its underline
        picture = ""
        try:
            frames = film(env_id, 10)
        except InputError:  # it needs a file that is not shipped
            frames = []
        if frames:
            write_gif(frames, FOLDER / f"{env_id}.gif")
            picture = (
                f"![ten steps of {env_id}]({env_id}.gif)\n\n"
                f"`recsim-env film {env_id} --steps 10 --out {env_id}.gif` draws this film.\n\n"
            )
        (FOLDER / f"{env_id}.md").write_text(f"# {env_id}\n\n{picture}```text\n{page.strip()}\n```\n")
        lines.append(f"- [{env_id}]({env_id}.md): {summary(env_id)}")
    (FOLDER / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
