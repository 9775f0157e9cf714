"""Precision is changed inside its block only; on a processor recorded work is done each time."""

import pytest
import torch

from models.flows.acceleration import Recorded, half_precision, product_precision, training_dtype


@pytest.mark.parametrize(
    ("precision", "inside"), [("tf32", "high"), ("float32", "highest"), ("float64", "highest")]
)
def test_matrix_products_are_whole_again_after_the_block(precision, inside):
    found = [torch.get_float32_matmul_precision()]

    def work():
        with product_precision(precision):
            found.append(torch.get_float32_matmul_precision())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert [*found, torch.get_float32_matmul_precision()] == ["highest", inside, "highest"]


@pytest.mark.parametrize(
    ("precision", "trained", "product"),
    [
        ("float64", torch.float64, torch.float64),
        ("float32", torch.float32, torch.float32),
        ("tf32", torch.float32, torch.float32),
        ("bf16", torch.float32, torch.bfloat16),
    ],
)
def test_weights_are_whole_and_products_as_asked_for(precision, trained, product):
    weight = torch.eye(3, dtype=training_dtype(precision))
    assert weight.dtype == trained
    with half_precision("cpu", precision):
        assert torch.mm(weight, weight).dtype == product
    assert torch.mm(weight, weight).dtype == trained


@pytest.mark.parametrize("wanted", [True, False])
def test_on_a_processor_the_work_is_done_at_each_call(wanted):
    total = torch.zeros(1)
    recorded = Recorded(lambda: total.add_(1), torch.device("cpu"), wanted=wanted)
    for _ in range(6):
        recorded()
    assert total.item() == 6
    assert recorded.graph is None
