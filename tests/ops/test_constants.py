"""Constants made without a copy from the host."""

import torch

from mmyolo_lite.ops.constants import filled
from tests.ops.host_waits import host_waits


def test_values_dtype_and_shape() -> None:
    made = filled((3, 0.1), torch.zeros(2, 2, dtype=torch.float64))
    assert made.dtype == torch.float64
    assert made.tolist() == [3, 0.1]


def test_nothing_is_copied_from_the_host() -> None:
    assert host_waits(lambda: filled((3, 4), torch.zeros(1))) == []
    assert host_waits(lambda: torch.zeros(1).new_tensor((3, 4))) != []


def test_the_watch_sees_what_waits() -> None:
    flags, numbers = torch.tensor([True, False]), torch.ones(2)
    index = torch.tensor([0])
    for waiting in (
        lambda: flags.nonzero(),
        lambda: numbers[flags],
        lambda: numbers[[0]],
        lambda: int(numbers.sum()),
        lambda: numbers.repeat_interleave(torch.tensor([1, 2])),
        lambda: torch.where(flags, numbers, 0),
        lambda: torch.nn.functional.one_hot(index, 3),
    ):
        assert host_waits(waiting) != []
    assert host_waits(lambda: torch.where(flags, numbers, numbers[index]).clamp(min=0)) == []
