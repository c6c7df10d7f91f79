"""Attributes of chosen priors are those of all priors in order."""

import pytest
import torch

from mmyolo_lite.models.heads.head_modules import flatten_levels, gather_priors

SIZES = ((8, 6), (4, 3), (2, 2))


def maps(channels: int, batch: int = 2, sizes: tuple = SIZES) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn((batch, 3 * channels, h, w), generator=generator) for h, w in sizes]


@pytest.mark.parametrize('channels', [1, 4, 80])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_equal_to_all_priors_in_order(channels: int, dtype: torch.dtype) -> None:
    level_maps = [level.to(dtype) for level in maps(channels)]
    flat = flatten_levels(level_maps, 3).float()
    index = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(1))
    for image in range(2):
        for chosen in (index, index[:7], index[:0], index.sort().values):
            found = gather_priors(level_maps, 3, image, chosen)
            assert found.dtype == torch.float32 and torch.equal(found, flat[image, chosen])
