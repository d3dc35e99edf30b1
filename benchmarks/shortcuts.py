"""CPU seconds of the audit's parts on amazon-beauty-2014. About 60 s: python benchmarks/shortcuts.py [DIR]

DIR holds interactions.parquet (default: ../shared/data/amazon-beauty-2014). Where it is absent, a log of the
same size is generated instead, and the output says so. All users are asked for their last event. Limit: ten
seconds for TGH. Beside it, in the same run: the cosines of every user's last item with every item alone.
"""

import sys
from pathlib import Path

from timing import header, row, seconds

from recsim_env.agents.baselines.item_knn import ItemKNNRecommender
from recsim_env.agents.recommender import target_ranks
from recsim_env.agents.sequential.markov import MarkovRecommender
from recsim_env.agents.sequential.transition_graph import TGH_1, TGH_2, TransitionGraphRecommender
from recsim_env.evaluation.shortcuts import shortcut_report
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.log import Log
from recsim_env.simulators.shortcut_bench import succession_law, succession_log
from recsim_env.simulators.splits import leave_one_out

LIMIT = 10.0  # CPU seconds of TGH, fit and lists of all users


def main() -> None:
    """Print the table."""
    log = beauty(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/amazon-beauty-2014"))
    N = int(log.slate.max()) + 1
    split = leave_one_out(log)
    train = leave_one_out(split.train).train
    features = TransitionGraphRecommender(num_items=N).fit(train).features_
    header()

    def dense() -> None:
        source = split.history[:, -1]
        for start in range(0, len(source), 1000):
            features[source[start : start + 1000]] @ features.T

    beside = seconds(dense, budget=1.0, rounds=2)
    for name, budgets in (("TGH-1", TGH_1), ("TGH-2", TGH_2)):
        fitted = TransitionGraphRecommender(budgets=budgets, num_items=N)

        def whole(fitted: TransitionGraphRecommender = fitted) -> None:
            fitted.fit(train).lists(split.history)

        took = seconds(whole, budget=1.0, rounds=3)
        row(
            f"{name}, co-occurrence features, fit and lists, s",
            f"{took:.2f}",
            f"{LIMIT:.0f} at most",
            f"cosines of all items alone {beside:.2f}",
        )
    for name, fitted in (
        ("Markov-2", MarkovRecommender(order=2, num_items=N)),
        ("item-kNN", ItemKNNRecommender(num_items=N)),
    ):
        took = seconds(lambda fitted=fitted: fitted.fit(train), budget=0.5, rounds=2)
        row(f"{name}, fit, s", f"{took:.2f}", "")
    markov = MarkovRecommender(order=2, num_items=N).fit(train)
    took = seconds(
        lambda: target_ranks(markov, split.history, split.target, mask_history=True), budget=0.1, rounds=1
    )
    row("Markov-2, ranks of all users among all items, s", f"{took:.2f}", "")
    row("shortcut_report without features, s", f"{seconds(lambda: shortcut_report(log), 0.5, 2):.2f}", "")


def beauty(directory: Path) -> Log:
    """The log, or one of its size."""
    if (directory / "interactions.parquet").is_file():
        data = read_interactions(directory)
        print(
            f"{data.name}: {len(data.log):,} events of {data.num_users:,} users, {data.num_items:,} items\n"
        )
        return data.log
    law = succession_law(num_items=12_101, branching=10, smooth=1.0, noise=0.5)
    log = succession_log(law, num_users=22_363, length=9)
    print(
        f"{directory} is not there: a GENERATED log of {len(log):,} events, {law.num_items:,} items instead\n"
    )
    return log


if __name__ == "__main__":
    main()
