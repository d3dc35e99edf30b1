"""K-means by cosine: P centres of length 1, each the direction of the sum of the points nearest to it.

    point i belongs to argmax_p x_i . c_p,    c_p = sum of its points / length of that sum

Begun at P points drawn at random; a centre without points stays where it was.
"""

from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import normalize, one_hot  # noqa: E402


def k_means(points: Tensor, centres: int, generator: torch.Generator, *, rounds: int = 10) -> Tensor:
    """Centres (P, D).

    Args:
        points: (M, D) of length 1, M >= P.
        centres: P.
        generator: of the first centres, on the processor.
        rounds: how often points are given to centres; fewer, if nothing changes any more.
    """
    found = points[torch.randperm(len(points), generator=generator)[:centres].to(points.device)]
    before = None
    for _ in range(rounds):
        nearest = (points @ found.T).argmax(dim=1)
        if before is not None and torch.equal(nearest, before):
            break
        member = one_hot(nearest, centres).to(points.dtype)  # (M, P); a product repeats its sums everywhere
        total = normalize(member.T @ points, dim=1)
        found = torch.where(member.any(dim=0)[:, None], total, found)
        before = nearest
    return found
