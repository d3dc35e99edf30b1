"""SLMRec: a small student learns, group of blocks by group, the states of a larger teacher.

Teacher and student have their blocks in G groups of equal size; h_k^T and h_k^S, D numbers each, leave the
last block of group k, for every step of every user in the batch:

    align       = mean over steps of  sum_k  lambda (1 - cos(h_k^S, h_k^T)) + mu |h_k^S - h_k^T|
    supervision = sum_{k < G}  full softmax of the next item by the state W_k h_k^S
    loss        = align + nu supervision

The teacher is trained before and learns no more; lines W_k (D, D) are learned and begin as the identity. A
student is held to its teacher for good: it learns sooner, and no better than it would alone for long enough
if its teacher is worse than that.

Source: Xu and others, "SLMRec: distilling large language models into small for sequential recommendation",
ICLR 2025; mu = 0.1 and the distance, not its square, as in its published code. Ours: all steps are aligned,
where it reads one state a sequence; teacher and student are networks of one kind, not language models.
"""

from copy import deepcopy
from typing import Protocol, cast

from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.losses.objectives import loss
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cosine_similarity  # noqa: E402


class InBlocks(Protocol):
    """An encoder that shows what leaves its blocks, as `SASRec` does."""

    def hidden(self, items: Tensor) -> list[Tensor]:
        """What enters the first block, and what leaves each, (U, L, D)."""


class Distillation(Auxiliary):
    """The loss above.

    Args:
        teacher: a trained encoder with `hidden` (see `InBlocks`); it is copied.
        groups: G; the numbers of blocks of teacher and student are multiples of it.
        cosine: lambda, 0 or more.
        distance: mu, 0 or more; not both are 0.
        supervision: nu, 0 or more.

    Raises:
        InputError: a number out of range, a teacher without `hidden`; `begin`: a student without it, with
            other items, another D or blocks that cannot be grouped.
    """

    def __init__(
        self,
        teacher: SequenceEncoder,
        *,
        groups: int = 2,
        cosine: float = 1.0,
        distance: float = 0.1,
        supervision: float = 0.0,
    ) -> None:
        super().__init__(1.0)
        check_ranges({"groups": groups}, {}, {})
        for name, value in (("cosine", cosine), ("distance", distance), ("supervision", supervision)):
            if value < 0:
                raise InputError(f"{name} must be 0 or more, got {value}")
        if cosine == distance == 0:
            raise InputError("cosine and distance must not both be 0: the teacher would teach nothing")
        self.groups, self.cosine, self.distance, self.supervision = groups, cosine, distance, supervision
        self.teacher = deepcopy(teacher).requires_grad_(False)
        self._blocks(self.teacher, "teacher")
        D = teacher.items.dimension
        self.lines = nn.ModuleList(nn.Linear(D, D) for _ in range(groups - 1 if supervision else 0))
        for line in self.lines:
            nn.init.eye_(line.weight)
            nn.init.zeros_(line.bias)

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Compare student and teacher."""
        self._blocks(network, "student")
        for name, of_teacher, of_student in (
            ("items", self.teacher.num_items, network.num_items),
            ("numbers a state", self.teacher.items.dimension, network.items.dimension),
        ):
            if of_teacher != of_student:
                raise InputError(
                    f"teacher and student must have the same {name}, got {of_teacher} and {of_student}"
                )

    def loss(
        self,
        network: SequenceEncoder,
        sequences: Sequences,
        rows: Rows,
        states: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """See `Auxiliary`."""
        items = torch.from_numpy(rows.items).to(states.device)
        targets = torch.from_numpy(rows.targets).to(states.device)
        known = targets >= 0
        own = self._group_ends(network, items)
        self.teacher.eval()  # whatever it is a part of
        with torch.no_grad():
            theirs = self._group_ends(self.teacher, items)
        found = states.sum() * 0.0
        for student, teacher in zip(own, theirs, strict=True):
            apart = torch.linalg.vector_norm(student[known] - teacher[known], dim=1)
            turned = 1.0 - cosine_similarity(student[known], teacher[known], dim=1)
            found = found + (self.cosine * turned + self.distance * apart).mean()
        for line, student in zip(self.lines, own[:-1], strict=False):
            value = loss(
                "full_softmax",
                line(student[known]),
                targets[known],
                network.candidates,
                network.num_items,
                generator,
            )
            found = found + self.supervision * value
        return found

    def _group_ends(self, network: SequenceEncoder, items: Tensor) -> list[Tensor]:
        """What leaves the last block of every group."""
        found = cast(InBlocks, network).hidden(items)
        size = (len(found) - 1) // self.groups
        return found[size::size]

    def _blocks(self, network: SequenceEncoder, name: str) -> None:
        """Refuse an encoder that does not show its blocks, or whose blocks cannot be grouped."""
        if not hasattr(network, "hidden"):
            raise InputError(f"{name} must show its blocks by `hidden`, {type(network).__name__} does not")
        with torch.no_grad():
            empty = torch.full((1, 1), network.num_items, device=next(network.parameters()).device)
            blocks = len(cast(InBlocks, network).hidden(empty)) - 1
        if blocks % self.groups:
            raise InputError(
                f"blocks of the {name} must be a multiple of groups ({self.groups}), got {blocks}"
            )
