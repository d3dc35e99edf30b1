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

USERS, BEAMS, SIZES = 64, 20, (256, 256, 256)
LIMITS = {1_000: "0.2 ms", 100_000: "2 ms", 1_000_000: "3 ms"}


def dictionary(codes):
    """Prefix -> the codes that may follow."""
    found = {}
    for identifier in codes.tolist():
        for level, code in enumerate(identifier):
            found.setdefault(tuple(identifier[:level]), set()).add(code)
    return {prefix: sorted(following) for prefix, following in found.items()}


def step_by_dictionary(prefixes, beams, logits, scores):
    """The same step: a mask for every beam, log-softmax, the best of each user."""
    masked = torch.full_like(logits, -torch.inf)
    for user, row_of in enumerate(beams):
        for beam, prefix in enumerate(row_of):
            following = prefixes[prefix]
            masked[user, beam, following] = logits[user, beam, following]
    return (masked.log_softmax(-1) + scores.unsqueeze(-1)).flatten(1).topk(BEAMS)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    header()
    rng = np.random.default_rng(0)
    for num_items, limit in LIMITS.items():
        codes = rng.integers(0, SIZES, (num_items, 3))
        begun = time.process_time()
        trie = CatalogueTrie(codes, SIZES)
        building = time.process_time() - begun
        prefixes = dictionary(codes) if num_items <= 100_000 else None
        for level in (1, 2):
            nodes = torch.from_numpy(rng.integers(0, len(trie.code_of[level - 1]), (USERS, BEAMS)))
            logits, scores = torch.randn(USERS, BEAMS, 256), torch.randn(USERS, BEAMS)
            with torch.inference_mode():
                spent = 1e3 * seconds(partial(beam_step, trie, level, nodes, scores, logits, BEAMS), 0.05, 5)
            beside = ""
            if prefixes is not None:
                first = trie.first_item[level][nodes]
                beams = [
                    [tuple(one) for one in per] for per in trie.codes[trie.items[first], :level].tolist()
                ]
                theirs = 1e3 * seconds(partial(step_by_dictionary, prefixes, beams, logits, scores), 0.05, 2)
                beside = f"dictionary {theirs:.0f} ms, {theirs / spent:.0f}x"
            row(f"{num_items:,} items, level {level + 1}", f"{spent:.2f} ms", limit, beside)
        row(f"{num_items:,} items, the index", f"{1e3 * building:.0f} ms", "200 ms", "")


if __name__ == "__main__":
    main()
