"""Properties of the assignment beyond the recorded matches (spec: loss.md 2)."""

import pytest
import torch

from mmyolo_lite.ops.assign import (
    Positives,
    assign_level,
    assign_levels,
    merge_neighbours,
    normalize_targets,
    scatter_last,
    split_neighbours,
)
from tests.ops.host_waits import host_waits

MAP_HW = (8, 10)
ANCHORS = torch.tensor([[2.0, 2.0], [2.0, 3.0], [40.0, 40.0]])  # the last fits nothing here


def assign(*centres: tuple[float, float], **settings: float) -> Positives:
    """Assign objects of 2 x 2 cells with these centres, in cells."""
    height, width = MAP_HW
    rows = [[0, 1, x / width, y / height, 2 / width, 2 / height] for x, y in centres]
    return assign_level(
        torch.tensor(rows, dtype=torch.float64).view(-1, 6), ANCHORS.double(), MAP_HW, **settings
    )


def cells(found: Positives, prior: int = 0) -> list[tuple[int, int]]:
    """Return (column, row) of the positives of one prior, in order."""
    return [
        (int(x), int(y))
        for x, y, a in zip(found.column, found.row, found.prior, strict=True)
        if a == prior
    ]


@pytest.mark.parametrize(
    ('centre', 'expected'),
    [
        ((4.25, 3.75), [(4, 3), (3, 3), (4, 4)]),  # own, left, down
        ((4.75, 3.25), [(4, 3), (4, 2), (5, 3)]),  # own, up, right
        ((4.5, 3.5), [(4, 3)]),  # the middle is near to no border: the threshold is strict
        ((0.25, 0.25), [(0, 0)]),  # nothing behind the border
        ((9.75, 7.75), [(9, 7)]),
    ],
)
def test_own_cell_and_neighbours(centre: tuple[float, float], expected: list) -> None:
    found = assign(centre)
    assert cells(found) == expected
    assert cells(found, prior=1) == expected
    assert cells(found, prior=2) == []


def test_exact_integer_centre_takes_its_own_cell_twice() -> None:
    # left and right both fire; right lands on the own cell (spec: loss.md 2)
    assert cells(assign((4.0, 3.5))) == [(4, 3), (3, 3), (4, 3)]


@pytest.mark.parametrize('thr', [0.3, 0.5, 0.8])
@pytest.mark.parametrize('x', [-30.0, -1.2, -0.1, 0.0, 1.0, 9.99, 10.0, 10.4, 11.0, 300.0])
@pytest.mark.parametrize('y', [-5.0, 0.0, 4.3, 8.0, 60.0])
def test_centres_on_and_beyond_every_edge_stay_in_the_map(x: float, y: float, thr: float) -> None:
    found = assign((x, y), near_neighbor_thr=thr)
    height, width = MAP_HW
    assert len(found) > 0
    assert found.column.min() >= 0 and found.column.max() < width
    assert found.row.min() >= 0 and found.row.max() < height


def test_targets_of_inner_centres_are_in_reach_of_the_decoder() -> None:
    generator = torch.Generator().manual_seed(1)
    centres = torch.rand((200, 2), generator=generator, dtype=torch.float64) * torch.tensor(
        [9.99, 7.99]
    )
    found = assign(*map(tuple, centres.tolist()))
    assert found.box[:, :2].min() > -0.5 and found.box[:, :2].max() < 1.5
    cell = torch.stack((found.column, found.row), dim=1)
    torch.testing.assert_close(cell + found.box[:, :2], centres[found.target])


def test_shape_match_is_strict() -> None:
    height, width = MAP_HW
    targets = torch.tensor(
        [[0, 0, 0.45, 0.45, 8 / width, 2 / height], [0, 0, 0.45, 0.45, 7.9 / width, 2 / height]],
        dtype=torch.float64,
    )
    found = assign_level(
        targets, torch.tensor([[2.0, 2.0]], dtype=torch.float64), MAP_HW, prior_match_thr=4.0
    )
    assert set(found.target.tolist()) == {1}


def test_nothing_to_assign() -> None:
    found = assign()
    assert len(found) == 0
    assert found.box.shape == (0, 4)
    assert found.gather(torch.zeros(2, 3, *MAP_HW, 4)).shape == (0, 4)


def test_normalising_leaves_the_table_alone() -> None:
    table = torch.tensor([[1.0, 2, 10, 20, 30, 60]])
    before = table.clone()
    torch.testing.assert_close(
        normalize_targets(table, (100, 200)), torch.tensor([[1, 2, 0.1, 0.4, 0.1, 0.4]])
    )
    assert torch.equal(table, before)


def test_last_positive_wins_where_cells_repeat() -> None:
    generator = torch.Generator().manual_seed(0)
    shape = torch.Size((2, 3, 4, 5))
    index = [torch.randint(high, (1000,), generator=generator) for high in shape]
    positives = Positives(*index, label=index[0], target=index[0], box=torch.zeros(1000, 4))  # type: ignore[misc]
    values = torch.rand(1000, generator=generator) + 0.1
    expected = torch.zeros(shape)
    for image, prior, row, column, value in zip(*index, values, strict=True):
        expected[image, prior, row, column] = value
    found = [scatter_last(values, positives, shape) for _ in range(2)]
    assert torch.equal(found[0], expected)
    assert torch.equal(found[0], found[1])


def test_scattering_nothing_gives_zeros() -> None:
    none = torch.zeros(0, dtype=torch.long)
    positives = Positives(none, none, none, none, none, none, torch.zeros(0, 4))
    written = scatter_last(torch.zeros(0), positives, torch.Size((1, 3, 2, 2)))
    assert written.shape == (1, 3, 2, 2) and not written.any()


LEVEL_ANCHORS = torch.tensor(
    [[[2.0, 2.0], [2.0, 3.0], [40.0, 40.0]], [[1.0, 1.0], [2.0, 2.5], [3.0, 3.0]]]
)
SIZES = [(16, 20), (8, 10)]


def crowd() -> torch.Tensor:
    """Return objects at random places, on borders of cells, and beyond the edges of the map."""
    generator = torch.Generator().manual_seed(2)
    centres = torch.rand((60, 2), generator=generator) * 1.4 - 0.2
    centres[::4] = (centres[::4] * 10).round() / 10
    sides = 0.02 + 0.4 * torch.rand((60, 2), generator=generator)
    images = torch.arange(60)[:, None] // 20
    return torch.cat((images, torch.arange(60)[:, None] % 7, centres, sides), dim=1)


def rows_of(found: Positives, chosen: torch.Tensor | slice = slice(None)) -> list[torch.Tensor]:
    names = ('image', 'prior', 'row', 'column', 'label', 'target', 'box')
    return [getattr(found, name)[chosen] for name in names]


@pytest.mark.parametrize('thr', [0.3, 0.5, 0.8])
def test_padding_holds_the_positives_of_each_level_in_order(thr: float) -> None:
    padded = assign_levels(crowd(), LEVEL_ANCHORS, SIZES, near_neighbor_thr=thr, padded=True)
    for level, candidates in enumerate(padded):
        single = assign_level(crowd(), LEVEL_ANCHORS[level], SIZES[level], near_neighbor_thr=thr)
        assert len(candidates) == 5 * 3 * 60
        assert 100 < len(single) == candidates.valid.sum()
        for one, other in zip(rows_of(candidates, candidates.valid), rows_of(single), strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)


def test_what_fills_up_is_harmless() -> None:
    targets = crowd()
    targets[3, 2:] = torch.nan
    targets[4, 4:] = 0
    targets[5, 2:4] = 1e30
    for candidates, (height, width) in zip(
        assign_levels(targets, LEVEL_ANCHORS, SIZES, padded=True), SIZES, strict=True
    ):
        assert candidates.row.min() >= 0 and candidates.row.max() < height
        assert candidates.column.min() >= 0 and candidates.column.max() < width
        assert torch.equal(candidates.box[~candidates.valid].unique(), torch.ones(1))
        bad = candidates.valid & ((candidates.target == 3) | (candidates.target == 4))
        assert not bad.any()
    assert len(assign_levels(crowd()[:0], LEVEL_ANCHORS, SIZES, padded=True)[0]) == 0


def test_padding_and_scattering_make_no_host_wait() -> None:
    targets = crowd()

    def run() -> None:
        for found, size in zip(
            assign_levels(targets, LEVEL_ANCHORS, SIZES, padded=True), SIZES, strict=True
        ):
            scatter_last(found.box[:, 0], found, torch.Size((3, 3, *size)))

    assert host_waits(run) == []
    assert host_waits(lambda: normalize_targets(targets, (100, 200))) == []
    assert host_waits(lambda: assign_levels(targets, LEVEL_ANCHORS, SIZES)) != []


def test_scattering_passes_over_what_is_not_valid() -> None:
    found = assign_levels(crowd(), LEVEL_ANCHORS, SIZES, padded=True)[0]
    single = assign_level(crowd(), LEVEL_ANCHORS[0], SIZES[0])
    values = torch.rand(len(found)) + 0.1
    shape = torch.Size((3, 3, *SIZES[0]))
    expected = scatter_last(values[found.valid], single, shape)
    assert torch.equal(scatter_last(values, found, shape), expected)


@pytest.mark.parametrize('thr', [0.2, 0.5])
def test_merged_neighbours_tell_the_value_of_every_positive(thr: float) -> None:
    for found in assign_levels(crowd(), LEVEL_ANCHORS, SIZES, near_neighbor_thr=thr, padded=True):
        valid = found.valid.view(5, 3, 60)
        assert (valid[1] & valid[3]).any(), 'some centres lie on a border'
        cells = (found.row * 100 + found.column).view(5, 3, 60)
        merged = merge_neighbours(cells[..., None], valid)
        assert merged.shape == (3, 3, 60, 1)
        split = split_neighbours(merged[..., 0], valid)
        assert torch.equal(split[valid], cells[valid])
