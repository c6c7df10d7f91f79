"""Quick start of command lines that import the frameworks: no search for garbage on the way.

Importing PyTorch, mmengine and mmdet makes a million objects that live as long as the process.
Python's collector of cycles looks at them again and again, a fifth of the time of a start, and at
every later full collection, in each data-loading worker too.
"""

import gc

_is_paused = False


def pause_collection() -> None:
    """Stop the collector of cycles until :func:`settle`; for processes that run one command.

    A program that embeds the package must not: what is alive at :func:`settle` is never looked at
    again, so that cycles among it are never freed.
    """
    global _is_paused
    if gc.isenabled():
        gc.disable()
        _is_paused = True


def settle() -> None:
    """Start the collector again, with all that is there taken for permanent; nothing without a
    :func:`pause_collection` before it.
    """
    global _is_paused
    if _is_paused:
        gc.freeze()
        gc.enable()
        _is_paused = False
