"""FiLM: what it does when nothing is asked of it, and that it is linear in the condition."""

import torch

from space_models.film import FiLM


def test_a_condition_of_zeros_changes_nothing() -> None:
    x = torch.randn(2, 5, 7)
    assert torch.equal(FiLM(3, 5)(x, torch.zeros(2, 3)), x)


def test_gain_and_shift_are_linear_in_the_condition() -> None:
    torch.manual_seed(0)
    film = FiLM(3, 5)
    x, condition = torch.randn(1, 5, 4), torch.tensor([[0.5, 0.0, 1.0]])
    once, twice = film(x, condition) - x, film(x, 2 * condition) - x
    assert torch.allclose(twice, 2 * once, atol=1e-6)
