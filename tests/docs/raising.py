"""How tests of messages state a case: what is done, and words of the message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmyolo_lite.errors import UserError

Case = tuple[str, Callable[[Path], Any]]
"""Words of a message, and what raises it, given an empty folder."""


def raises(case: Case, folder: Path) -> None:
    """Check a case: one error for the user, with the words in its message."""
    words, run = case
    with pytest.raises(UserError) as caught:
        run(folder)
    assert words in ' '.join(str(caught.value).split())


def written(path: Path, content: str | bytes = '') -> Path:
    """Write a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
