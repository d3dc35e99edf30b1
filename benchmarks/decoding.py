"""A step of constrained beam search, and the index behind it. Half a minute: python benchmarks/decoding.py

64 users, 20 beams each, identifiers of 3 codes below 256 drawn at random, one thread: CPU milliseconds of a
step at the second and at the third level, the logits given, best of several. Beside it, in the same run, what
a dictionary of prefixes takes for the same step in plain Python, as the usual logits processors do it. Needs
the extra `torch`.
"""

import time
from functools import partial

import numpy as np
import torch
from timing import header, row, seconds

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.decoding import beam_step
from recsim_env.experiments.suite.decode_bench import dictionary, prefixes_of, step_by_dictionary

USERS, BEAMS, SIZES = 64, 20, (256, 256, 256)
LIMITS = {1_000: "0.2 ms", 100_000: "2 ms", 1_000_000: "3 ms"}


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    header()
    rng = np.random.default_rng(0)
    for num_items, limit in LIMITS.items():
        codes = rng.integers(0, SIZES, (num_items, 3))
        trie, building = None, np.inf
        for _ in range(3):
            begun = time.process_time()
            trie = CatalogueTrie(codes, SIZES)
            building = min(building, time.process_time() - begun)
        prefixes = dictionary(codes) if num_items <= 100_000 else None
        for level in (1, 2):
            nodes = torch.from_numpy(rng.integers(0, len(trie.code_of[level - 1]), (USERS, BEAMS)))
            logits, scores = torch.randn(USERS, BEAMS, 256), torch.randn(USERS, BEAMS)
            with torch.inference_mode():
                spent = 1e3 * seconds(partial(beam_step, trie, level, nodes, scores, logits, BEAMS), 0.05, 5)
            beside = ""
            if prefixes is not None:
                beams = prefixes_of(trie.codes[trie.items[trie.first_item[level][nodes]], :level])
                by_dictionary = partial(step_by_dictionary, prefixes, beams, logits, scores, BEAMS)
                theirs = 1e3 * seconds(by_dictionary, 0.05, 2)
                beside = f"dictionary {theirs:.0f} ms, {theirs / spent:.0f}x"
            row(f"{num_items:,} items, level {level + 1}", f"{spent:.2f} ms", limit, beside)
        row(f"{num_items:,} items, the index", f"{1e3 * building:.0f} ms", "200 ms", "")


if __name__ == "__main__":
    main()
