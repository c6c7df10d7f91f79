"""What a process remembers of samples, so as not to work it out twice."""

from typing import Any

MAX_SAMPLES = 4096
"""Samples of which a transform keeps the parsed annotations: some 5 kB each."""


class Memory(dict):
    """A dict of at most :data:`MAX_SAMPLES` items; one more drops the oldest."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if len(self) >= MAX_SAMPLES and key not in self:
            del self[next(iter(self))]
        super().__setitem__(key, value)
