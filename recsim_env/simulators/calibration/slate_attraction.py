"""What attracts whom in a log of slates: a click model, interest vectors, and the scale that joins them.

The steps are described in `slates`. Click model, vectors and the quality of items see the
sessions that are fitted to, the scale the held-out ones.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logit

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.attraction_scale import AttractionScale, fit_attraction_scale
from recsim_env.simulators.calibration.interest_vectors import InterestFit, fit_interest_vectors
from recsim_env.simulators.log import Log
from recsim_env.user_models.clicks import CLICK_MODELS, ClickFit, ClickModel, PositionBased, UserBrowsing

CONFIDENCES = ((0.3, 10.0), (3.0, 10.0), (10.0, 30.0), (30.0, 100.0))  # alpha and lambda of the factorisation
MAX_SWEEPS = 200


@dataclass(frozen=True)
class SlateAttraction:
    """a(u, i) = sigmoid(intercept + weight q_i + sharpness x_u . f_i), and how users look down a slate."""

    clicks: ClickModel
    interest: Array  # (U, D) float32 x
    features: Array  # (N, D) float32 f
    quality: Floats  # (N,) q
    scale: AttractionScale  # the three numbers
    confidence: float  # alpha of the factorisation
    regularization: float  # lambda
    problems: tuple[str, ...]


def fit_slate_attraction(
    fitted_to: Log, held_out: Log, clicks: str, dimension: int, num_users: int, num_items: int, seed: int
) -> SlateAttraction:
    """All steps; users are 0 to U-1, items 0 to N-1, and both logs hold a click.

    Raises:
        InputError: clicks that the model cannot make; a dimension above the number of users who clicked,
            or of items.
    """
    found = CLICK_MODELS[clicks].fit(fitted_to, num_items)
    model, attraction = _most_looked_at_is_seen(found)
    for log in (fitted_to, held_out):
        _check_can_be_made(clicks, model, log)
    quality = quality_of(attraction, found.examinations)
    clickers = fitted_to.rows(np.isin(fitted_to.user, fitted_to.user[fitted_to.clicked.any(axis=1)]))
    fits = []
    for alpha, regularization in CONFIDENCES:
        vectors = fit_interest_vectors(
            clickers,
            dimension,
            num_items=num_items,
            alpha=alpha,
            regularization=regularization,
            held_out=0.0,
            max_sweeps=MAX_SWEEPS,
            seed=seed,
        )
        interest, features = _centred_and_scaled(vectors, num_users)
        scale = fit_attraction_scale(
            model,
            scores_of_slates(interest, features, held_out),
            quality[held_out.slate],
            held_out.slate >= 0,
            held_out.clicked,
        )
        problems = _problems(clicks, found, vectors, scale)
        fits.append(
            SlateAttraction(model, interest, features, quality, scale, alpha, regularization, tuple(problems))
        )
    return max(fits, key=lambda fit: fit.scale.log_likelihood)


def quality_of(attraction: Floats, examinations: Floats) -> Floats:
    """(N,) logit of the attraction of items, from the overall one, with one click at the overall rate added.

    Args:
        attraction: (N,) nan where an item was never examined; its quality is 0.
        examinations: (N,).
    """
    clicks = np.nan_to_num(attraction) * examinations
    overall = clicks.sum() / examinations.sum()
    return np.asarray(logit((clicks + 1.0) / (examinations + 1.0 / overall)) - logit(overall))


def scores_of_slates(interest: Array, features: Array, log: Log) -> Floats:
    """(R, K) x_u . f_i of what is shown; of the last item in empty slots."""
    score = np.empty(log.slate.shape)
    for k in range(log.slate.shape[1]):
        score[:, k] = np.einsum("rd,rd->r", interest[log.user], features[log.slate[:, k]])
    return score


def _check_can_be_made(name: str, model: ClickModel, log: Log) -> None:
    """Refuse clicks that have probability 0 whatever attracts."""
    never = np.isneginf(model.log_prob(np.where(log.slate >= 0, 0.5, 0.0), log.clicked))
    if never.any():
        slate = log.clicked[np.argmax(never)].astype(int).tolist()
        raise InputError(
            f"clicks={name!r} cannot make the clicks of {never.sum():,} of {len(log):,} slates, such as "
            f"{slate}: choose a model that can, such as dependent_click"
        )


def _most_looked_at_is_seen(found: ClickFit) -> tuple[Any, Floats]:
    """The click model and the attraction of items (N,), where only their product is known: by convention.

    The slot most looked at (in the user browsing model with the last click where it is) is looked at always.
    """
    model: Any = found.model
    if not isinstance(model, PositionBased | UserBrowsing):
        return model, found.attraction
    by_last_click = model.examination.ndim == 2
    used = np.tril(np.ones(model.examination.shape, np.bool_)) if by_last_click else slice(None)
    most = float(model.examination[used].max())
    examination = np.minimum(model.examination / most, 1.0)  # unused entries could come out above 1
    return replace(model, examination=examination), found.attraction * most


def _centred_and_scaled(vectors: InterestFit, num_users: int) -> tuple[Array, Array]:
    """(U, D) interests of mean 0 and (N, D) features, float32, both of root mean square length 1."""
    interest = np.tile(vectors.user.mean(axis=0), (num_users, 1))
    interest[vectors.user_ids] = vectors.user
    return _unit(interest - vectors.user.mean(axis=0)), _unit(vectors.item)


def _unit(vectors: Floats) -> Array:
    length = np.sqrt((vectors**2).sum(axis=1).mean())
    return np.asarray(vectors / (length if length > 0.0 else 1.0), np.float32)


def _problems(name: str, found: ClickFit, vectors: InterestFit, scale: AttractionScale) -> list[str]:
    problems = [f"{number} lies on the bound of its search" for number in scale.on_bound]
    if not found.converged:
        problems.append(f"the fit of {name} did not converge")
    if not vectors.converged:
        problems.append(f"the factorisation did not converge in {MAX_SWEEPS} sweeps")
    if not scale.converged:
        problems.append("the search for intercept and sharpness did not converge")
    error = scale.std_errors[1]
    if "sharpness" not in scale.on_bound and not scale.sharpness > 2.0 * error:
        problems.append(
            f"interests do not tell held-out clicks: sharpness is {scale.sharpness:.3g} +- {error:.2g}"
        )
    return problems
