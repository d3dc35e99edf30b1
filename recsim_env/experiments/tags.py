"""What TensorBoard and reports call the things that are measured: one table for all agents."""

TAGS = {
    "regret": "value of the best slates less that of the slates shown, without the luck of the clicks",
    "reward": "what users answered, such as clicks",
    "ndcg": "how the slates shown are ordered by what truly attracts the user; 1 is the best order",
    "coverage": "share of the catalogue that was shown so far",
    "kl": "how far an update moved the policy, as Kullback-Leibler divergence",
    "drift": "how far users' interests are from where they began",
}
"""By tag, what it means; their charts come first and in this order."""


def in_order(metrics: list[str]) -> list[str]:
    """Those of the table first, then the others as they come."""
    known = [tag for tag in TAGS if tag in metrics]
    return known + [metric for metric in metrics if metric not in TAGS]


def is_error(metric: str) -> bool:
    """Whether it is the standard error of another one."""
    return metric.endswith("_std_error")
