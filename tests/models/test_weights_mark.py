"""Models of the same make but other weights are told apart."""

import torch

from models.weights_mark import weights_mark


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(80, 70), torch.nn.Linear(70, 2))


def test_the_same_weights_have_the_same_mark() -> None:
    assert weights_mark(network()) == weights_mark(network())


def test_scaled_weights_and_another_type_have_another() -> None:
    scaled = network()
    with torch.no_grad():
        scaled[1].weight.mul_(1.3)
    marks = {weights_mark(each) for each in (network(), scaled, network().to(torch.bfloat16))}
    assert len(marks) == 3
