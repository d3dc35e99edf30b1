"""Write docs/environments/: a page and a film of ten steps for every environment that needs no file.

Run from the root of the repository: python docs/make_pages.py
"""

import re
from pathlib import Path
from textwrap import dedent

from recsim_env.envs.describe import describe, registered_ids, summary
from recsim_env.errors import InputError
from recsim_env.experiments.film import film, write_gif

FOLDER = Path(__file__).parent / "environments"
STEPS = 10
# Users with whom something happens in ten steps that belongs to the story; the others are as good as user 0.
SEEDS = {
    "BoredUser-v0": 3,  # a topic bores, and no longer does a few slates later
    "SlateRec-v0": 7,  # the user leaves, and another one comes
}


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
        picture, seed = "", SEEDS.get(env_id, 0)
        try:
            frames = film(env_id, STEPS, seed)
        except InputError:  # it needs a file that is not shipped
            frames = []
        if frames:
            write_gif(frames, FOLDER / f"{env_id}.gif")
            command = f"recsim-env film {env_id} --steps {STEPS} --seed {seed} --out {env_id}.gif"
            picture = f"![ten steps of {env_id}]({env_id}.gif)\n\n`{command}` draws this film.\n\n"
        (FOLDER / f"{env_id}.md").write_text(f"# {env_id}\n\n{picture}{page(env_id)}")
        lines.append(f"- [{env_id}]({env_id}.md): {summary(env_id)}")
    (FOLDER / "README.md").write_text("\n".join(lines) + "\n")


def page(env_id: str) -> str:
    """The description in Markdown, without its title: the code, which can be copied, and the text."""
    body = describe(env_id).split("\n", 3)[3]  # without the title and its underline
    code, words = re.split(r"\n(?=\S)", body, maxsplit=1)  # the code is what stands indented above the text
    return f"```python\n{dedent(code).strip()}\n```\n\n```text\n{words.strip()}\n```\n"


if __name__ == "__main__":
    main()
