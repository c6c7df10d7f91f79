"""Layers of a network by their names, such as ``neck.out_layers[2]``, and what they give."""

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from mmyolo_lite.errors import ConfigError

_STEP = re.compile(r'\.?([^.\[\]\s]+)|\[(-?\d{1,9})\]')
SUGGESTIONS = 5


def split_name(name: str) -> list[str | int]:
    """Return the steps of a layer's name: attributes and indices.

    >>> split_name('neck.out_layers[2]')
    ['neck', 'out_layers', 2]

    Raises:
        ConfigError: it is no such name.
    """
    steps: list[str | int] = []
    end = 0
    while end < len(name):
        found = _STEP.match(name, end)
        if found is None or (not steps and name[end] in '.['):
            raise ConfigError(
                f'{name!r} is no name of a layer; names look like backbone or neck.out_layers[2].'
            )
        attribute, index = found.groups()
        steps.append(attribute if index is None else int(index))
        end = found.end()
    if not steps:
        raise ConfigError('The name of a layer is empty; give one such as backbone.')
    return steps


def bracket_name(dotted: str) -> str:
    """Return PyTorch's name of a module with its indices in brackets.

    >>> bracket_name('neck.out_layers.2')
    'neck.out_layers[2]'
    """
    return re.sub(r'\.(\d+)(?=\.|$)', r'[\1]', dotted)


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """Return the module of a name; nothing is evaluated.

    Args:
        network: where it is looked for.
        name: as in ``neck.out_layers[2]`` or PyTorch's ``neck.out_layers.2``.

    Raises:
        ConfigError: there is none; the message lists the nearest names.
    """
    layer = network
    for step in split_name(name):
        children = layer._modules
        if isinstance(step, int) and step < 0:
            step += len(children)
        child = children.get(str(step))
        if child is None:
            raise ConfigError(_no_layer(network, name))
        layer = child
    return layer


def _no_layer(network: nn.Module, name: str) -> str:
    names = [bracket_name(dotted) for dotted, _ in network.named_modules() if dotted]
    near = difflib.get_close_matches(bracket_name(name), names, SUGGESTIONS, cutoff=0.0)
    return (
        f'The network has no layer {name!r}. The nearest: {", ".join(near)}. --preview-model '
        'prints all.'
    )


def find_layers(network: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """Return the layers by their names, in the order given; see :func:`find_layer`."""
    return {name: find_layer(network, name) for name in names}


@contextmanager
def recorded_outputs(layers: dict[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """Record the maps that layers give while the network runs.

    Args:
        layers: by their names.

    Yields:
        For each layer that has run its maps (B, C, h, w), copies, those of its last call.
    """
    found: dict[str, list[Tensor]] = {}

    def record(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            # copies, since an activation may work in place afterwards
            found[name] = [part.detach().clone() for part in maps_in(output)]

        return hook

    handles = [layer.register_forward_hook(record(name)) for name, layer in layers.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def maps_in(output: Any) -> Iterator[Tensor]:
    """Yield the tensors (B, C, h, w) in what a layer returns, in order."""
    if isinstance(output, Tensor):
        if output.ndim == 4:
            yield output
    elif isinstance(output, dict):
        for part in output.values():
            yield from maps_in(part)
    elif isinstance(output, (list, tuple)):
        for part in output:
            yield from maps_in(part)


def require_maps(layers: dict[str, nn.Module], outputs: dict[str, list[Tensor]]) -> None:
    """Check that each layer gave maps (B, C, h, w), as :func:`recorded_outputs` has them.

    Raises:
        ConfigError: one gave none; the message says what to name in its place.
    """
    for name, layer in layers.items():
        if outputs.get(name):
            continue
        parts = [f'{name}[{key}]' if key.isdigit() else f'{name}.{key}' for key in layer._modules]
        instead = f' Name one of its parts: {", ".join(parts[:8])}.' if parts else ''
        raise ConfigError(
            f'The layer {name!r} ({type(layer).__name__}) gives no map of an image.{instead}'
        )


def require_one_map(layers: dict[str, nn.Module], outputs: dict[str, list[Tensor]]) -> None:
    """Check that each layer gave one map (B, C, h, w), as :func:`recorded_outputs` has them.

    Raises:
        ConfigError: one gave none or several; the message says what to name in its place.
    """
    require_maps(layers, outputs)
    for name in layers:
        if len(outputs[name]) > 1:
            raise ConfigError(
                f'The layer {name!r} gives {len(outputs[name])} maps. Name a layer with one, such '
                'as neck.out_layers[2] or backbone.stage4.'
            )
