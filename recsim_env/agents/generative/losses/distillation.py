"""Distillation of policies: a student learns what a teacher holds likely at every code, and not one item.

With p(c) proportional to exp(logit(c) / tau) over the codes c that may follow the beginning c_1 .. c_{l-1} of
the next item, as `decoding` has it for tau = 1,

    loss = tau^2  mean over steps of  sum over levels l of  KL(p_teacher || p_student)

at the beginnings of the item that came next. Of items with one code this is KL(pi_teacher || pi_student) over
the catalogue, at tau = 1; of longer ones its mean over next items that the teacher draws is. The teacher was
trained before, learns no more, and is without dropout.

Where the next item hangs on the last but one, a student of one block and 16 numbers has, after 12 epochs,
NDCG@10 .1635 alone and .1770 with a teacher that has .2914: +.0135 [+.0036, +.0234] over five laws, on users
never seen (`pytest tests/test_policy_distillation.py -m slow -s`). It is far from its teacher yet; whether it
would end above one that learns alone for longer was not measured.

Source: Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015 (tau, and tau^2, by which
gradients keep their size); Kim, Rush, "Sequence-level knowledge distillation", EMNLP 2016 (word by word, in
view of the true beginning). Ours: normalised over what the catalogue has.
"""

from copy import deepcopy
from typing import cast

from recsim_env.agents.generative.generative_recommender import PolicyEncoder
from recsim_env.agents.generative.heads.head import Past
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder
from recsim_env.agents.sequential.neural.losses.auxiliary import Auxiliary
from recsim_env.agents.sequential.neural.sequences import Rows, Sequences
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class PolicyDistillation(Auxiliary):
    """The loss above.

    Args:
        teacher: a trained policy over the student's catalogue; it is copied.
        weight: of it in the whole loss, above 0.
        temperature: tau, above 0.

    Raises:
        InputError: a number out of range; `begin`: a student that is no policy, or one whose items have other
            codes than the teacher's, or that reads longer histories.
    """

    def __init__(self, teacher: GenerativePolicy, *, weight: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__(weight)
        check_ranges({}, {}, {"temperature": temperature})
        self.teacher = deepcopy(teacher).requires_grad_(False)
        self.temperature = temperature

    def begin(self, network: SequenceEncoder, sequences: Sequences, generator: torch.Generator) -> None:
        """Compare student and teacher."""
        if not isinstance(network, PolicyEncoder):
            raise InputError("policy distillation needs a GenerativeRecommender: it teaches the next code")
        theirs, ours = (policy.trie for policy in (self.teacher, network.policy))
        same = (theirs.num_items, theirs.level_sizes) == (ours.num_items, ours.level_sizes)
        if not same or not torch.equal(theirs.codes.cpu(), ours.codes.cpu()):
            sizes = (f"{one.num_items} items, levels of {one.level_sizes}" for one in (theirs, ours))
            found = "other codes of the same sizes" if same else " and ".join(sizes)
            raise InputError(
                f"teacher and student must have one catalogue, got {found}: make the student of the "
                "identifiers that the teacher was trained with"
            )
        if self.teacher.encoder.max_length < network.max_length:
            raise InputError(
                f"the teacher reads {self.teacher.encoder.max_length} items, and the student "
                f"{network.max_length}: a teacher must read as many"
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
        student, teacher = cast(PolicyEncoder, network).policy, self.teacher.eval()  # whatever it is part of
        items, targets = (torch.from_numpy(part).to(states.device) for part in (rows.items, rows.targets))
        own = student.steps(states, items)
        with torch.no_grad():
            theirs = teacher.steps(teacher.encoder(items), items)
        if "whole" in (network.reads, teacher.encoder.reads):  # earlier states have read what comes next
            own, theirs, targets = own.last, theirs.last, targets[:, -1:]
        next_items = targets.clamp(min=0)
        with torch.no_grad():
            wanted = of_next_codes(teacher, theirs, next_items, self.temperature)
        found = of_next_codes(student, own, next_items, self.temperature)
        apart = sum(divergence(p, q) for p, q in zip(wanted, found, strict=True))
        return self.temperature**2 * cast(Tensor, apart)[targets >= 0].mean()


def of_next_codes(policy: GenerativePolicy, past: Past, items: Tensor, temperature: float) -> list[Tensor]:
    """Of each level, log p (U, Q, C) of what may follow the beginning of items (U, Q), -inf = no child."""
    trie = policy.trie
    logits = policy.head(past, trie.codes[items][:, :, None, :-1])
    found = []
    for level, values in enumerate(logits):
        nodes = trie.node_of[level][items]
        children = trie.of_children(level, nodes, values[:, :, 0] / policy.temperature)
        found.append(torch.log_softmax(children / temperature, dim=-1))
    return found


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the last axis; -inf in both is no outcome."""
    each = log_p.exp() * (log_p - log_q).masked_fill(log_p == -torch.inf, 0.0)
    return each.sum(dim=-1)
