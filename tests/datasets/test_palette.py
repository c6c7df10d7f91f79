"""Each class gets a colour, and own ones can be told apart."""

import pytest

from mmyolo_lite.datasets.palette import DISTINCT, complete_palette
from mmyolo_lite.errors import ConfigError


@pytest.mark.parametrize(
    ('palette', 'start'),
    [
        (None, []),
        ([(1, 2, 3)], [(1, 2, 3)]),
        (((1, 2, 3), [4, 5, 6], (7, 8, 9)), [(1, 2, 3), (4, 5, 6), (7, 8, 9)]),
        ((1, 2, 3), [(1, 2, 3)] * 4),
        ([(31, 119, 180)], [(31, 119, 180), (220, 20, 60), (44, 160, 44)]),
    ],
)
def test_each_class_gets_a_colour(palette, start):
    filled = complete_palette(palette, 4)
    assert len(filled) == 4 and filled[: len(start)] == start
    assert len(set(filled[len(start) :])) == 4 - len(start), 'filled colours differ'
    assert complete_palette(palette, 4) == filled
    assert all(isinstance(value, int) for colour in filled for value in colour)


def test_the_first_colours_can_be_told_apart():
    squares = [
        sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
        for number, one in enumerate(DISTINCT)
        for other in DISTINCT[:number]
    ]
    assert min(squares) > 50**2


def test_what_is_no_palette_is_named():
    with pytest.raises(ConfigError, match=r"metainfo\['palette'\].*got \[1\]"):
        complete_palette([1], 2)
