"""Which claims a data set can carry: sentences out of the numbers of an audit.

The limits are ours, and say where a reader should become careful, not where a truth begins.
"""

import numpy as np

from recsim_env.experiments.audit import Audit, Baseline, K

LAST_ITEM = 0.9  # share of the best NDCG that the last item alone keeps, from which history says little
TIED = 0.1  # share of the targets tied with the event before, from which order is partly that of chance
FEATURES = (
    0.5  # share of the best NDCG that features alone reach, from which a model of content proves little
)
REPEATED = 0.1  # share of the targets that stand in the history
FUTURE = 0.05  # median share of training events that come after the target
BETTER = 1.01  # how much better than by the whole history a baseline must be by a part of it to be the bar
LOCAL = 1.05  # how much better than popularity and item-kNN what follows the last item must be: order tells,
SURE = 3.0  # and by how many standard errors,
MOST_TIED = 0.5  # and at most this share of the targets tied


def verdict(audit: Audit) -> str:
    """One sentence: what can be claimed on this data set, and what cannot."""
    yes, no = claims(audit)
    name, value = bar(audit)
    parts = [
        f"a model below {name} (NDCG@{K} {value:.4f}) on {audit.name} is not evidence of sequence modelling"
    ]
    if yes:
        parts.append(f"above it the data can carry claims about {_listed(yes)}")
    if no:
        parts.append(f"the data cannot carry claims about {_listed(no)}")
    if audit.report.alarms:
        alarms = _listed([leak.name for leak in audit.report.alarms])
        parts.append(f"and before any claim the leaks must be mended or ruled out: {alarms}")
    sentence = "; ".join(parts)
    return sentence[0].upper() + sentence[1:] + "."


def bar(audit: Audit) -> tuple[str, float]:
    """What a model has to pass: the best baseline, also of those that were shown a part of the history."""
    found = [(one.name, _ndcg(one)) for one in audit.baselines]
    for name, curve in audit.report.history.items():
        whole = curve.value[curve.lengths.index(0)]
        for length, value in zip(curve.lengths, curve.value, strict=True):
            if value > BETTER * whole:
                found.append((f"{name} of the last {f'{length} items' if length > 1 else 'item'}", value))
    return max(found, key=lambda one: one[1])


def claims(audit: Audit) -> tuple[list[str], list[str]]:
    """What the data can carry claims about, and what not."""
    report = audit.report
    value = {one.name: _ndcg(one) for one in audit.baselines}
    yes: list[str] = ["accuracy on the next item"]
    no: list[str] = []
    ordered = max((one for one in audit.baselines if one.name.startswith(("Markov", "TGH"))), key=_ndcg)
    unordered = max((one for one in audit.baselines if one.name in ("popularity", "item-kNN")), key=_ndcg)
    error = float(np.hypot(ordered.ndcg.std_error, unordered.ndcg.std_error))
    above = _ndcg(ordered) - _ndcg(unordered)
    told = above > max((LOCAL - 1) * _ndcg(unordered), SURE * error) and report.tied_targets <= MOST_TIED
    (yes if told else no).append("the order of events")
    (no if last_item_keeps(audit) >= LAST_ITEM else yes).append("long histories")
    alone = [v for name, v in value.items() if name.startswith("features alone")]
    if alone:
        few = max(alone) < FEATURES * bar(audit)[1]
        (yes if few else no).append("understanding of content")
    if report.repeated_targets > REPEATED:
        no.append("discovery (unless repeated targets are counted apart)")
    if audit.clock == "order":
        no.append("forecasting (an order within each user does not tell what was known when)")
    elif report.later_training > FUTURE:
        no.append("forecasting (this split trains on events later than the target)")
    return yes, no


def findings(audit: Audit) -> list[str]:
    """Everything a reader should know, one sentence each."""
    report = audit.report
    name, curve = audit.dependence
    best_of_all = max(max(one.value) for one in report.history.values())
    said = [
        f"Transitions: {report.coverage.share[0]:.1%} of the targets followed the last item in training "
        f"already, {sum(report.coverage.share):.1%} are within three steps; an item has "
        f"{report.branching.mean:.1f} different successors on average, and {report.branching.seen_once:.1%} "
        "of all edges were seen once.",
        f"History: shown the last item alone, the baselines keep {last_item_keeps(audit):.0%} of their best "
        f"NDCG@{K} ({best_of_all:.4f}); {name} reaches {curve.value[-1]:.4f} with the whole history.",
    ]
    for kind, smooth in report.smoothness.items():
        said.append(
            f"Features ({kind}): consecutive items are {smooth.lift:.1f} times as alike as random ones "
            f"(cosine {smooth.edge:.3f}; last item and target {smooth.target:.3f}; random "
            f"{smooth.random:.3f})."
        )
    if audit.clock == "order":
        said.append(
            "Ties: the log has positions, not times, so that it cannot tell how many events shared one."
        )
    if report.tied_targets > TIED:
        said.append(
            f"Ties: {report.tied_targets:.0%} of the targets have the time of the event before; which of "
            "them is the target is chance, here drawn by the seed."
        )
    if report.repeat_share > REPEATED or report.repeated_targets > REPEATED:
        said.append(
            f"Repetition: {report.repeat_share:.0%} of the events and {report.repeated_targets:.0%} of the "
            "targets are items that the user had before."
        )
    if audit.clock != "order":
        said.append(
            f"Time: half of the targets are followed by {report.later_training:.0%} or more of all training "
            "events; only a split by time keeps a model from learning from the future."
        )
    return said


def last_item_keeps(audit: Audit) -> float:
    """The best NDCG with the last item alone / the best with any number of items, over HISTORY."""
    curves = audit.report.history.values()
    best = max(max(one.value) for one in curves)
    return max(one.value[one.lengths.index(1)] for one in curves) / best if best > 0 else float("nan")


def _ndcg(one: Baseline) -> float:
    return float(one.ndcg.value)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
