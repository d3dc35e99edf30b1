"""ACT-R attention: a session as the mean of its items, weighted by how active each is in memory.

For the items i of a session x, with what `session_memory` knows of them and learned vectors e,

    BLL_i      share of base-level strength of item i, at the start of the session that is predicted
    SPR_i      sum_{j in x, j != i} C_ij, what items played together before lend each other
    PM_i       sum_{j in x, j != i} e_i . e_j, how well it matches the others
    z_i      = sum_c relu(w_c) relu(c_i)       over the components c in use, w_c learned, .1 at first
    alpha_i  = z_i^f / sum_k z_k^f             f = .5 flattens: else one strong song is the session
    session  = sum_i alpha_i e_i

1e-8 is added to every relu and to z, as in the source, so that a session whose components are all 0 is the
plain mean.

Source: Tran and others, "Transformers meet ACT-R", RecSys 2024; constants of deezer/recsys24-pisa.
"""

from recsim_env.errors import InputError, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

COMPONENTS = ("base_level", "spreading", "matching")
FIRST_WEIGHT = 0.1
SMALLEST = 1e-8


class ACTRAttention(nn.Module):
    """Vectors, base levels and spreading of the items of sessions -> vectors of the sessions.

    Args:
        components: some of `COMPONENTS`, each once.
        flatten: f, above 0.

    Attributes:
        weight: (components,) w.

    Raises:
        InputError: no component, an unknown one or one twice; f not above 0.
    """

    def __init__(self, components: tuple[str, ...] = COMPONENTS, *, flatten: float = 0.5) -> None:
        super().__init__()
        for name in components:
            if name not in COMPONENTS:
                raise unknown_name("component", name, COMPONENTS)
        if not components or len(set(components)) < len(components):
            raise InputError(f"components must name some of {', '.join(COMPONENTS)} once, got {components}")
        if not flatten > 0:
            raise InputError(f"flatten must be above 0, got {flatten}")
        self.components, self.flatten = tuple(components), flatten
        self.weight = nn.Parameter(torch.full((len(components),), FIRST_WEIGHT))

    def forward(self, vectors: Tensor, present: Tensor, base_level: Tensor, spreading: Tensor) -> Tensor:
        """Vectors (..., D) of sessions; 0 of one without items.

        Args:
            vectors: (..., M, D) e, 0 in empty cells.
            present: (..., M) bool, which cells hold an item.
            base_level: (..., M) BLL.
            spreading: (..., M) SPR.
        """
        alpha = self.shares(vectors, present, base_level, spreading)
        session: Tensor = (alpha[..., None, :] @ vectors)[..., 0, :]
        return session

    def shares(self, vectors: Tensor, present: Tensor, base_level: Tensor, spreading: Tensor) -> Tensor:
        """Alpha (..., M), 0 in empty cells; arguments as of `forward`."""
        found = {"base_level": base_level, "spreading": spreading}
        if "matching" in self.components:
            dots = vectors @ vectors.transpose(-2, -1)  # (..., M, M), 0 where a cell is empty
            found["matching"] = dots.sum(dim=-1) - dots.diagonal(dim1=-2, dim2=-1)
        part = torch.stack([found[name] for name in self.components], dim=-1)
        z = ((torch.relu(self.weight) + SMALLEST) * (torch.relu(part) + SMALLEST)).sum(dim=-1) + SMALLEST
        flat = z**self.flatten * present
        alpha: Tensor = flat / flat.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
        return alpha
