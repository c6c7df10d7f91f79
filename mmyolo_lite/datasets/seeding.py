"""Seed data-loading workers: new augmentations in every epoch and process, the same in every
run.
"""

import os
import random

import cv2
import numpy as np
import torch
from mmengine.registry import FUNCTIONS as ROOT_FUNCTIONS
from torch.utils.data import get_worker_info

from mmyolo_lite.registry import FUNCTIONS


# The Runner looks an unscoped name up in mmengine's own registry, not in that of the default scope.
@ROOT_FUNCTIONS.register_module(force=True)
@FUNCTIONS.register_module()
def yolov5_worker_init(worker_id: int, rank: int | None = None, **unused: object) -> None:
    """Seed numpy, random and torch of one worker, and keep it on one thread. Source: spec data.md
    8.7.

    mmengine's own function seeds from the global seed alone, so that workers which start anew each
    epoch repeat the same augmentations in every epoch. The seed here is the one that PyTorch draws
    for each worker and epoch from the global seed, mixed with the rank, because all ranks share the
    global seed.

    Args:
        worker_id: number of the worker, from 0; used where PyTorch tells no worker seed.
        rank: number of the training process; by default the environment variable RANK, or 0.
        unused: further arguments of mmengine's function (``num_workers``, ``seed`` ...), accepted,
            so that this one can stand in its place.
    """
    info = get_worker_info()
    base = info.seed if info is not None else torch.initial_seed() + worker_id
    if rank is None:
        rank = int(os.environ.get('RANK', 0))
    words = np.random.SeedSequence((base % 2**64, rank)).generate_state(3)
    np.random.seed(words[0])
    random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))
    # A worker started by `spawn` inherits neither setting, and threads of many workers only fight
    # for cores.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


worker_init_fn = yolov5_worker_init
"""The name that PyTorch gives to functions of this kind."""
