"""The image files of a training set that proved unreadable, known to all processes that load it."""

import os
import time
from collections.abc import Callable

import torch

MAX_SHARE = 0.01
"""Training stops when more than this share of the files has proved unreadable ..."""
MIN_COUNT = 3
"""... and at least so many of them (or all, in a smaller dataset)."""

PAUSE_S = 0.02


class UnreadableImages:
    """Marks of images, in memory that worker processes share: each file is named once, and they
    count together.

    Args:
        total: number of images.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        # the process that found it; a lock could not be handed to all kinds of workers
        self._marks = torch.zeros(max(total, 1), dtype=torch.int64).share_memory_()
        self._numbers: dict[str, int | None] = {}

    def __deepcopy__(self, memo: dict) -> 'UnreadableImages':
        return UnreadableImages(self.total)  # copied memory would not be shared

    def mark(self, path: str, path_of: Callable[[int], str]) -> bool:
        """Mark a file; say whether it is new. One that is not of the set never is.

        Args:
            path: of the file.
            path_of: gives the path of an image by its number.
        """
        if path not in self._numbers:
            found = (number for number in range(self.total) if path_of(number) == path)
            self._numbers[path] = next(found, None)
        number = self._numbers[path]
        if number is None or self._marks[number]:
            return False
        self._marks[number] = os.getpid()
        time.sleep(PAUSE_S)  # of several that find it at once, the last one to write has it
        return int(self._marks[number]) == os.getpid()

    @property
    def numbers(self) -> list[int]:
        """Those that are marked, in order."""
        return self._marks.nonzero()[:, 0].tolist()

    def are_too_many(self) -> bool:
        """Say whether a training should stop."""
        count = len(self.numbers)
        return count >= min(MIN_COUNT, self.total) and count > MAX_SHARE * self.total
