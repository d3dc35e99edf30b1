"""Networks whose choices a mask limits: what it forbids has probability 0, and is never the greedy choice.

The mask lies in the rows that the connector makes (`flat.py`), at the columns that `model_config["mask"]`
names; `model_config["choices"]` holds the number of choices of every slot. Networks with a policy get -1e9
added to the logits of what is forbidden; DQN's action values become -inf there, as its loss expects.
"""

from typing import Any

import torch
from ray.rllib.algorithms.appo.torch.default_appo_torch_rl_module import DefaultAPPOTorchRLModule
from ray.rllib.algorithms.bc.torch.default_bc_torch_rl_module import DefaultBCTorchRLModule
from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS
from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import DefaultDQNTorchRLModule
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.core.columns import Columns

FORBIDDEN = -1e9  # finite, so that the entropy of a slot with one legal choice is 0 and not NaN


def legal(rows: torch.Tensor, mask: list[int], choices: list[int]) -> torch.Tensor:
    """(B, sum of choices) bool of rows (B, F): the twin of `flat.legal`."""
    flags = rows[..., mask[0] : mask[1]] > 0.5
    if flags.shape[-1] == sum(choices):
        return flags
    padded = torch.cat([flags, torch.ones_like(flags[..., :1])], dim=-1)
    return torch.cat([padded[..., :n] for n in choices], dim=-1)


class _Masked:
    """Before the module of a policy in the order of inheritance: masks all its logits."""

    model_config: dict[str, Any]

    def _forward(self, batch: Any, **kwargs: Any) -> Any:
        return self._masked(batch, super()._forward(batch, **kwargs))  # type: ignore[misc]

    def _forward_train(self, batch: Any, **kwargs: Any) -> Any:
        rows = batch[Columns.OBS]
        return self._masked({Columns.OBS: rows}, super()._forward_train(batch, **kwargs))  # type: ignore[misc]

    def _masked(self, batch: Any, outputs: Any) -> Any:
        allowed = legal(batch[Columns.OBS], self.model_config["mask"], self.model_config["choices"])
        outputs[Columns.ACTION_DIST_INPUTS] = outputs[Columns.ACTION_DIST_INPUTS].masked_fill(
            ~allowed, FORBIDDEN
        )
        return outputs


class MaskedPPO(_Masked, DefaultPPOTorchRLModule):
    """Of PPO, IMPALA and MARWIL."""


class MaskedAPPO(_Masked, DefaultAPPOTorchRLModule):
    """Of APPO."""


class MaskedBC(_Masked, DefaultBCTorchRLModule):
    """Of behaviour cloning."""


class MaskedDQN(DefaultDQNTorchRLModule):
    """Of DQN."""

    def _qf_forward_helper(self, batch: Any, encoder: Any, head: Any) -> Any:
        outputs = super()._qf_forward_helper(batch, encoder, head)
        allowed = legal(batch[Columns.OBS], self.model_config["mask"], self.model_config["choices"])
        outputs[QF_PREDS] = outputs[QF_PREDS].masked_fill(~allowed, float("-inf"))
        return outputs
