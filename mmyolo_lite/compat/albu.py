"""Fence around mmdet's `Albu`: random numbers of albumentations 2.x, and what happens without
albumentations.

albumentations 2.x keeps its own random state, which neither numpy's nor Python's seed reaches: runs
do not repeat, and workers that start by fork all draw one identical stream, anew every epoch. The
fence seeds it once in each process from PyTorch's seed. Its version check would use the network at
import, and is switched off. Can go when albumentations follows the worker's seed by itself.
"""

import functools
import os
import random
import warnings
from typing import Any

import numpy as np

PIP_LINE = "pip install 'albumentations>=2.0.3,<3'"


def install() -> None:
    """Keep albumentations from asking the network for its newest version; imports nothing."""
    os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')


def follow_seed(albu: Any) -> None:
    """Seed the composed augmentations of an `Albu` whenever PyTorch was seeded anew: at its first
    call in each process, and where every sample has a seed of its own.

    Args:
        albu: an mmdet `Albu`, whose ``aug`` is the albumentations composition.
    """
    import torch

    # also where processes share a seed, as without workers
    current = (os.getpid(), torch.initial_seed())
    if getattr(albu, '_seeded_by', None) == current:
        return
    albu._seeded_by = current
    # Older albumentations draw from the global state, and have no such method. `set_random_seed`
    # would give the same seed to each member, so that they would all fire on the same images.
    if hasattr(albu.aug, 'set_random_state'):
        seed = torch.initial_seed() % 2**32
        albu.aug.set_random_state(np.random.default_rng(seed), random.Random(seed))


def is_idle(aug: Any) -> bool:
    """Draw whether a composition of albumentations does anything this time.

    Args:
        aug: the composition. Its random state goes on as if it had run when the answer is True,
            and is as before when it is False: then it must be called.
    """
    draw = getattr(aug, 'py_random', None)
    members = getattr(aug, 'transforms', ())
    if draw is None or not all(
        # a composition among the members, or one that draws by itself, is not to be foreseen
        0 < member.p < 1 and hasattr(member, 'should_apply') and member.py_random is draw
        for member in members
    ):
        return False
    state = draw.getstate()
    if draw.random() < aug.p and any(draw.random() < member.p for member in members):
        draw.setstate(state)
        return False
    return True


def changes_nothing_when_idle(albu: Any) -> bool:
    """Say whether a call in which no member fires leaves boxes as they are: none is filtered out
    or clipped.

    Args:
        albu: an mmdet `Albu`.
    """
    params = albu.bbox_params
    filters = ('min_area', 'min_visibility', 'min_width', 'min_height', 'clip')
    more = ('filter_invalid_bboxes', 'max_accept_ratio', 'clip_after_transform')
    return not (
        albu.filter_lost_elements
        or albu.skip_img_without_anno
        or any(getattr(params, name, None) for name in (*filters, *more))
    )


def patch_mmdet() -> None:
    """Make every `Albu` of mmdet, and its subclasses, seed itself and say what to install;
    idempotent.

    Raises (when an `Albu` is built):
        DependencyError: albumentations is not installed.
    """
    install()
    from mmdet.datasets.transforms import transforms as module

    from mmyolo_lite.errors import DependencyError

    albu = module.Albu
    if getattr(albu, '_seeded_by_mmyolo_lite', False):
        return
    build, transform = albu.__init__, albu.transform

    @functools.wraps(build)
    def checked_init(self: Any, *args: Any, **kwargs: Any) -> None:
        if module.Compose is None:
            raise DependencyError(
                'The transform Albu of the pipeline needs albumentations, which is not '
                f'installed: {PIP_LINE}, or remove the transform from the pipeline.'
            )
        with warnings.catch_warnings():
            # boxes are handed through on purpose, also when every augmentation is of colour alone
            warnings.filterwarnings(
                'ignore', 'Got processor for bboxes, but no transform to process it'
            )
            build(self, *args, **kwargs)

    @functools.wraps(transform)
    def seeded_transform(self: Any, results: dict) -> dict | None:
        follow_seed(self)
        if getattr(self, 'skips_idle', False) and is_idle(self.aug):
            results['img_shape'] = results['img'].shape[:2]
            return results
        return transform(self, results)

    albu.__init__, albu.transform = checked_init, seeded_transform
    albu._seeded_by_mmyolo_lite = True
