"""FiLM: what it does when nothing is asked of it, that it is linear in the condition; and the null condition."""

import logging

import numpy as np
import pytest
import torch

from space_data.schema import EMOTIONS, UNKNOWN, emotion_known, emotion_vector
from space_models import film
from space_models.film import FiLM, condition_of, learnt_emotion


def test_a_condition_of_zeros_changes_nothing() -> None:
    x = torch.randn(2, 5, 7)
    assert torch.equal(FiLM(3, 5)(x, torch.zeros(2, 3)), x)


def test_gain_and_shift_are_linear_in_the_condition() -> None:
    torch.manual_seed(0)
    film = FiLM(3, 5)
    x, condition = torch.randn(1, 5, 4), torch.tensor([[0.5, 0.0, 1.0]])
    once, twice = film(x, condition) - x, film(x, 2 * condition) - x
    assert torch.allclose(twice, 2 * once, atol=1e-6)


def test_unknown_is_a_condition_of_its_own() -> None:
    mixtures = torch.from_numpy(np.stack([emotion_vector(e, 0.5) for e in ("neutral", "happy", UNKNOWN)]))
    plain, condition = condition_of(mixtures, unlabelled=False), condition_of(mixtures, unlabelled=True)
    assert not plain[0].any() and torch.equal(plain[1], mixtures[1]) and plain[2].isnan().all()
    assert mixtures[0].any(), "what is given is left as it is"
    assert torch.equal(condition[:2, :-1], plain[:2])
    assert condition[:, -1].tolist() == [0.0, 0.0, 1.0] and not condition[2, :-1].any()


@pytest.mark.parametrize(
    ("emotion", "labelled", "unlabelled", "driven"),
    [
        ("happy", True, False, "happy"), ("happy", True, True, "happy"), ("happy", False, True, UNKNOWN),
        ("neutral", False, True, UNKNOWN), (UNKNOWN, True, False, "neutral"), (UNKNOWN, True, True, UNKNOWN),
    ],
)  # fmt: skip
def test_what_was_not_learnt_becomes_what_was_and_a_warning_says_so_once(
    emotion: str, labelled: bool, unlabelled: bool, driven: str, caplog: pytest.LogCaptureFixture
) -> None:
    film._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        found = [learnt_emotion(emotion_vector(emotion, 1.0), labelled, unlabelled, "s2l") for _ in range(2)]
    np.testing.assert_array_equal(found, [emotion_vector(driven, 1.0)] * 2)
    assert emotion_known(found[0]) == (driven in EMOTIONS)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (emotion != driven) and all(f"is driven as {driven}" in message for message in told)
