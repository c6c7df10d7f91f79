"""Weights go over to models with other classes, another head or another size, row by row."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmyolo_lite.models.partial_weights import (
    PredictionLayer,
    TransferReport,
    prediction_layer,
    stored_layer,
    transfer,
)
from tests.models import tiny

LAST = 'bbox_head.head_module.convs_pred.{}.{}'
PROTO = 'bbox_head.head_module.proto_pred'


def moved(
    source: nn.Module,
    target: nn.Module,
    given: Any = None,
    own: Any = None,
) -> tuple[dict[str, Tensor], TransferReport]:
    weights = source.state_dict()
    layer = prediction_layer(target, own)
    assert layer is not None
    stored = stored_layer(weights, layer.num_base_priors, given)
    whole, report = transfer(weights, target.state_dict(), layer, stored)
    target.load_state_dict(whole, strict=True)
    return whole, report


def rows(model: Any, level: int, kind: str = 'weight') -> Tensor:
    """Return a prediction layer as (A, D, ...)."""
    tensor = getattr(model.bbox_head.head_module.convs_pred[level], kind)
    return tensor.detach().clone().view(3, -1, *tensor.shape[1:])


def assert_body_equals(one: nn.Module, other: nn.Module) -> None:
    theirs = other.state_dict()
    for name, tensor in one.state_dict().items():
        if 'head_module' not in name:
            assert torch.equal(tensor, theirs[name]), name


def test_the_same_model_goes_over_whole() -> None:
    source, target = tiny.detector('ins'), tiny.detector('ins')
    nn.init.normal_(source.neck.bottom_up_layers[0].main_conv.conv.weight)  # type: ignore[union-attr, index, arg-type]
    whole, report = moved(source, target, ['a', 'b', 'c'], ['a', 'b', 'c'])
    assert report.is_complete
    assert len(report.loaded) == len(whole)
    for name, tensor in source.state_dict().items():
        assert torch.equal(whole[name], tensor)


@pytest.mark.parametrize('kind', ['det', 'ins'])
def test_rows_of_other_classes_start_anew(kind: str) -> None:
    source, target = tiny.detector(kind, 3), tiny.detector(kind, 2)
    for tensor in source.parameters():
        nn.init.normal_(tensor)
    before = [[rows(target, level, part) for level in range(3)] for part in ('weight', 'bias')]
    _, report = moved(source, target, ['a', 'b', 'c'], ['C ', 'new'])
    assert_body_equals(target, source)
    for index, part in enumerate(('weight', 'bias')):
        for level in range(3):
            theirs, ours = rows(source, level, part), rows(target, level, part)
            assert torch.equal(ours[:, :5], theirs[:, :5])
            assert torch.equal(ours[:, 5], theirs[:, 7])
            assert torch.equal(ours[:, 6], before[index][level][:, 6])
            assert torch.equal(ours[:, 7:], theirs[:, 8:])
            assert LAST.format(level, part) in report.in_part
    assert (report.skipped, report.missing) == ({}, [])
    assert (report.kept_classes, report.new_classes) == (['C '], ['new'])
    assert report.lines()[-1] == 'classes kept 1: C ; started anew 1: new'


def test_classes_in_another_order_find_their_rows() -> None:
    source, target = tiny.detector('det'), tiny.detector('det')
    for tensor in source.parameters():
        nn.init.normal_(tensor)
    moved(source, target, ['a', 'b', 'c'], ['c', 'a', 'b'])
    for level in range(3):
        order = [*range(5), 7, 5, 6]
        assert torch.equal(rows(target, level), rows(source, level)[:, order])


@pytest.mark.parametrize(
    ('given', 'count', 'own', 'sources'),
    [
        (None, 3, None, [5, 6, 7]),
        (None, 3, ('a', 'b', 'c'), [5, 6, 7]),
        (('a', 'b', 'c'), 3, None, [5, 6, 7]),
        (None, 2, None, [-1, -1]),
        (('a', 'b', 'a'), 2, ('a', 'b'), [5, 6]),
        (('a', 'b', 'c'), 2, ('A', 'd'), [5, -1]),
    ],
)
def test_where_rows_of_classes_come_from(
    given: Any, count: int, own: Any, sources: list[int]
) -> None:
    layer = PredictionLayer(3, count, 4, own)
    found = layer.sources(PredictionLayer(3, 3, 4, given))
    assert found == [*range(5), *sources, *range(8, 12)]
    assert layer.sources(PredictionLayer(3, 3, 32, given))[-4:] == [-1] * 4


def test_detection_becomes_segmentation_and_back() -> None:
    detection, segmentation = tiny.detector('det'), tiny.detector('ins')
    for tensor in detection.parameters():
        nn.init.normal_(tensor)
    before = rows(segmentation, 0)
    _, report = moved(detection, segmentation)
    assert_body_equals(segmentation, detection)
    assert torch.equal(rows(segmentation, 0)[:, :8], rows(detection, 0))
    assert torch.equal(rows(segmentation, 0)[:, 8:], before[:, 8:])
    assert report.skipped == {}
    assert len(report.missing) == 3 * 5
    assert all(name.startswith(PROTO) for name in report.missing)

    target = tiny.detector('det')
    _, report = moved(segmentation, target)
    assert torch.equal(rows(target, 0), rows(detection, 0))
    assert (len(report.skipped), report.missing) == (18, [])
    assert set(report.skipped.values()) == {'the model has no such part'}


def test_another_size_leaves_no_half_layers() -> None:
    source, target = tiny.detector('det'), tiny.detector('det')
    head = tiny.head('det')
    head['head_module']['widen_factor'] = 0.25
    parts = {name: {'widen_factor': 0.25} for name in ('backbone', 'neck')}
    from mmyolo_lite.registry import MODELS

    big = MODELS.build(
        {
            'type': 'YOLODetector',
            'backbone': {'type': 'YOLOv5CSPDarknet', **tiny.FACTORS, **parts['backbone']},
            'neck': {
                'type': 'YOLOv5PAFPN',
                'in_channels': tiny.CHANNELS,
                'out_channels': tiny.CHANNELS,
                'num_csp_blocks': 3,
                **tiny.FACTORS,
                **parts['neck'],
            },
            'bbox_head': head,
            'test_cfg': tiny.TEST_CFG,
        }
    )
    before = {name: tensor.clone() for name, tensor in big.state_dict().items()}
    whole, report = moved(source, big)
    assert [name for name in report.loaded if not name.endswith('num_batches_tracked')] == []
    assert report.is_empty
    for name, tensor in before.items():
        assert torch.equal(whole[name], tensor), name
    reason = report.skipped[LAST.format(0, 'bias')]
    assert reason == 'belongs to a layer that does not fit'
    assert '(8, 3, 6, 6) in the file, (16, 3, 6, 6) in the model' in ''.join(report.lines())
    assert len(report.lines()) == 3
    assert moved(target, tiny.detector('det'))[1].is_complete


def test_a_norm_goes_with_its_convolution() -> None:
    source = tiny.detector('det')
    weights = source.state_dict()
    name = 'backbone.stem.conv.weight'
    weights[name] = torch.ones(8, 4, 6, 6)
    whole, report = transfer(weights, source.state_dict())
    assert sorted(report.skipped) == sorted(n for n in whole if n.startswith('backbone.stem.'))


def test_models_without_a_prediction_layer() -> None:
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    assert prediction_layer(source) is None
    whole, report = transfer(source.state_dict() | {'odd': torch.ones(1)}, target.state_dict())
    assert torch.equal(whole['weight'], source.weight)
    assert report.skipped == {'odd': 'the model has no such part'}


@pytest.mark.parametrize(
    ('shape', 'names'), [((7,), None), ((12,), None), ((24,), ['a']), ((), None), ((2, 24), None)]
)
def test_layers_that_cannot_be_told(shape: tuple, names: Any) -> None:
    assert stored_layer({LAST.format(0, 'bias'): torch.ones(shape)}, 3, names) is None


def test_layers_of_weights() -> None:
    weights = tiny.detector('ins').state_dict()
    assert stored_layer(weights, 3) == PredictionLayer(3, 3, 4)
    assert stored_layer(weights, 3, ['a', 'b', 'c']) == PredictionLayer(3, 3, 4, ('a', 'b', 'c'))
    assert stored_layer({}, 3) is None
