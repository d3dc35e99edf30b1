"""A prediction: what the reader expects, written down before the answer is shown.

Who has said what they expect remembers how they were wrong. A notebook asks with `predict`, and the cell that
computes the answer ends with `reveal`.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsim_env.errors import InputError

Answer = float | str | Sequence[str] | None


@dataclass(frozen=True)
class Prediction:
    """A question, and what was answered before it was known."""

    question: str
    answer: Answer  # a number, a word of `choices`, or all of them in order; None: not written down yet
    choices: tuple[str, ...] = ()

    def reveal(self, truth: float | str | Sequence[str]) -> None:
        """Print the truth beside the answer.

        Args:
            truth: of the kind of the answer.
        """
        truth = truth.item() if isinstance(truth, np.generic) else truth
        said = "You wrote nothing down" if self.answer is None else f"You said {_words(self.answer)}"
        comment = "" if self.answer is None else f" {_comment(self.answer, truth)}"
        sys.stdout.write(f"{self.question}\n{said}. It is {_words(truth)}.{comment}\n")


def predict(question: str, answer: Answer = None, choices: Sequence[str] = ()) -> Prediction:
    """Write a prediction down.

    Args:
        question: what is asked.
        answer: a number, one of `choices`, or all of them in the order asked for; None asks for it.
        choices: the words to choose from or to order; none for a number.

    Raises:
        InputError: an answer that is not a number, or not made of the choices.
    """
    choices = tuple(choices)
    answer = answer.item() if isinstance(answer, np.generic) else answer
    if answer is None:
        sys.stdout.write(f"{question}\nWrite your answer down as `answer=...` and run this cell again.\n")
    elif not choices:
        if isinstance(answer, bool) or not isinstance(answer, int | float):
            raise InputError(f"answer must be a number, got {answer!r}")
    elif isinstance(answer, str):
        if answer not in choices:
            raise InputError(f"answer must be one of {', '.join(choices)}, got {answer!r}")
    elif not isinstance(answer, Sequence) or sorted(answer) != sorted(choices):
        raise InputError(f"answer must put {', '.join(choices)} in order, got {answer!r}")
    return Prediction(question, answer, choices)


def _words(answer: float | str | Sequence[str]) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, int | float):
        return f"{answer:,.4g}" if abs(answer) < 1e4 else f"{answer:,.0f}"
    return ", ".join(answer)


def _comment(answer: float | str | Sequence[str], truth: float | str | Sequence[str]) -> str:
    if isinstance(answer, str) or isinstance(truth, str):
        return "Right." if answer == truth else "Not so: why?"
    if isinstance(answer, int | float) or isinstance(truth, int | float):
        assert isinstance(answer, int | float)
        assert isinstance(truth, int | float)
        off = abs(answer - truth) / max(abs(truth), 1e-12)
        return "Close." if off <= 0.1 else f"You were {off:.0%} {'above' if answer > truth else 'below'}."
    pairs = [(a, b) for i, a in enumerate(truth) for b in truth[i + 1 :]]
    right = sum(list(answer).index(a) < list(answer).index(b) for a, b in pairs)
    return "Right." if right == len(pairs) else f"{right} of {len(pairs)} pairs are in the right order."
