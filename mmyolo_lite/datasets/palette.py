"""Colours of classes."""

from typing import Any

from mmdet.visualization import get_palette

from mmyolo_lite.errors import ConfigError

DISTINCT = (
    *((220, 20, 60), (31, 119, 180), (44, 160, 44), (255, 127, 14), (148, 103, 189)),
    *((23, 190, 207), (188, 189, 34), (227, 119, 194), (140, 86, 75), (127, 127, 127)),
)
"""Colours (R, G, B) of the first ten classes, which can be told apart: red, blue, green, orange,
purple, cyan, olive, pink, brown and grey."""


def complete_palette(palette: Any, num_classes: int) -> Any:
    """Return a palette with a colour for each class, on which drawing relies.

    Args:
        palette: colours (R, G, B) of 0 to 255; one colour for all classes; or None. A text is
            mmdet's name of a palette and stays.
        num_classes: how many colours are needed; missing ones are filled, always the same way:
            with those of :data:`DISTINCT` that are not there, then with mmdet's random ones.

    Raises:
        ConfigError: it is nothing of that.
    """
    if isinstance(palette, str):
        return palette
    try:
        colours = [] if palette is None else list(palette)
        if len(colours) == 3 and all(isinstance(value, int) for value in colours):
            colours = [colours] * num_classes
        colours = [(int(red), int(green), int(blue)) for red, green, blue in colours]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"metainfo['palette'] must be a list of colours (red, green, blue), got {palette!r}"
        ) from error
    others = [tuple(map(int, colour)) for colour in get_palette('random', max(num_classes, 1))]
    spare = [colour for colour in (*DISTINCT, *others) if colour not in colours]
    return colours + spare[: max(num_classes - len(colours), 0)]
