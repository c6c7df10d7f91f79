"""Parts of a model that do not train: no gradients, batch norms as in evaluation."""

import difflib
from collections.abc import Sequence

from torch import nn

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models import blocks


def part_names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return names of parts from a list, or from a text with commas between them.

    >>> part_names('backbone, neck')
    ('backbone', 'neck')

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(given, str):
        given = given.split(',')
    if not isinstance(given, (list, tuple, type(None))) or not all(
        isinstance(name, str) for name in given or ()
    ):
        raise ConfigError(
            f"model.freeze is {given!r}; it must be names of parts, such as ('backbone', 'neck')."
        )
    return tuple(name.strip() for name in given or () if name.strip())


def check_parts(model: nn.Module, names: Sequence[str]) -> None:
    """Check that a model has the parts, and others beside them.

    Args:
        model: the model.
        names: dotted, such as 'backbone' or 'backbone.stage1'.

    Raises:
        ConfigError: one is unknown or has nothing to train, or nothing would train.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    for name in names:
        if name not in modules:
            similar = difflib.get_close_matches(name, modules, n=1)
            children = [child for child, _ in model.named_children()]
            hint = f'Did you mean {similar[0]!r}?' if similar else f'It has {", ".join(children)}.'
            raise ConfigError(
                f'model.freeze names {name!r}, which the model has no part of. {hint}'
            )
        if not any(True for _ in modules[name].parameters()):
            raise ConfigError(f'model.freeze names {name!r}, which has nothing to train.')
    frozen = {id(one) for name in names for one in modules[name].parameters()}
    if names and all(id(one) in frozen for one in model.parameters()):
        raise ConfigError(
            f'model.freeze is {tuple(names)}: nothing is left to train. Leave a part out, such as '
            'bbox_head.'
        )


def freeze_parts(model: nn.Module, names: Sequence[str]) -> None:
    """Freeze parts of a model; to be done again whenever its mode has been switched."""
    for name in names:
        blocks.freeze(model.get_submodule(name))
