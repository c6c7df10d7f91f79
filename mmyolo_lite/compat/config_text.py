"""Format a config's text once.

mmengine 0.10.7 has yapf format the whole config for every checkpoint, log and visualization
backend, 1.5 seconds of computing each time, although the config has not changed. The fence keeps
the last text. Can go when mmengine does.
"""

from typing import Any


def install() -> None:
    """Make ``Config.pretty_text`` remember the last text; idempotent."""
    from mmengine.config import Config

    original = Config.pretty_text.fget
    if getattr(original, '_remembers', False):
        return
    last: dict[str, str] = {}

    def pretty_text(self: Any) -> str:
        content = repr(self._cfg_dict)
        if content not in last:
            text = original(self)
            last.clear()
            last[content] = text
        return last[content]

    pretty_text._remembers = True  # type: ignore[attr-defined]
    Config.pretty_text = property(pretty_text, doc=Config.pretty_text.__doc__)
