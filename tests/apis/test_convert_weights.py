"""Official checkpoints convert back bit for bit; what is missing, other or left out is named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from mmyolo_lite.apis import convert_weights_names as official
from mmyolo_lite.apis.convert_weights import convert_file, write_converted
from mmyolo_lite.apis.convert_weights_sources import class_names
from mmyolo_lite.apis.model import load_model
from mmyolo_lite.compat.checkpoints import load_from_local
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.errors import CheckpointError, DataError
from tests import official_layout as layout
from tests.shared_data import shared_path

NANO = official.Architecture('n', 3, 3, 0)
OTHER_ANCHORS = [[(w + 1, h + 2) for w, h in level] for level in layout.ANCHORS]


def own_weights(model: official.Architecture = NANO, half: bool = False) -> dict[str, Tensor]:
    return layout.filled(official.expected_weights(model), half)


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in found.items():
        assert tensor.dtype == (torch.float32 if tensor.dim() else torch.int64)
        assert torch.equal(tensor, expected[name].to(tensor.dtype)), name


@pytest.mark.parametrize('masks', [0, 32], ids=['detection', 'segmentation'])
@pytest.mark.parametrize(
    'size', ['n', 's', *(pytest.param(size, marks=pytest.mark.slow) for size in 'mlx')]
)
def test_every_size_converts_back_bit_for_bit(size: str, masks: int, tmp_path: Path) -> None:
    model = official.Architecture(size, 3, 3, masks)
    own = own_weights(model, half=True)
    path = layout.save_official(tmp_path / 'a.pt', layout.official_weights(own, half=True))
    found = convert_file(path)
    assert found.model == model
    assert_equal(found.weights, own)
    assert (found.unmatched, found.num_fused, found.notes) == ((), 0, ())
    assert found.classes == tuple(layout.NAMES)
    assert found.anchors == tuple(map(tuple, layout.ANCHORS))
    assert not found.has_other_anchors


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_forms_of_files(legacy: bool, prefix: str, tmp_path: Path) -> None:
    own = own_weights()
    weights = {f'{prefix}{n}': t for n, t in layout.official_weights(own).items()}
    pickled = layout.save_official(tmp_path / 'a.pt', weights, legacy=legacy)
    torch.save(weights, tmp_path / 'b.pt', _use_new_zipfile_serialization=not legacy)
    torch.save({'state_dict': weights}, tmp_path / 'c.pt')
    for path in (pickled, tmp_path / 'b.pt', tmp_path / 'c.pt'):
        assert_equal(convert_file(path).weights, own)


def test_the_average_is_preferred(tmp_path: Path) -> None:
    own, other = own_weights(), own_weights()
    other['backbone.stem.conv.weight'] = other['backbone.stem.conv.weight'] + 1
    with layout.foreign_classes() as classes:
        raw = layout.module_tree(layout.official_weights(other), classes)
        path = layout.save_official(
            tmp_path / 'a.pt', layout.official_weights(own), part='ema', model=raw
        )
    found = convert_file(path)
    assert found.part == 'ema'
    assert_equal(found.weights, own)


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['a', 'b'], ('a', 'b')),
        ({0: 'a', 1: 'b'}, ('a', 'b')),
        ({1: 'b', 0: 'a'}, ('a', 'b')),
        ({0: 'a'}, None),
        (['a'], None),
        (['a', 3], None),
        (['a', ''], None),
        ({'0': 'a', '1': 'b'}, None),
        (None, None),
        (7, None),
    ],
)
def test_class_names(names: Any, expected: Any) -> None:
    assert class_names(names, 2) == expected


def test_metadata_and_config_carry_classes_and_anchors(tmp_path: Path) -> None:
    model = official.Architecture('n', 3, 3, 32)
    own = own_weights(model)
    source = layout.save_official(
        tmp_path / 'a.pt', layout.official_weights(own, OTHER_ANCHORS), {0: 'x', 1: 'y', 2: 'z'}
    )
    found = convert_file(source)
    assert found.has_other_anchors
    written = write_converted(found, source, tmp_path / 'out/b.pth')
    assert written == [tmp_path / 'out/b.pth', tmp_path / 'out/b.py']
    meta = load_from_local(str(written[0]))['meta']
    assert meta['dataset_meta'] == {'classes': ('x', 'y', 'z')}
    assert meta['anchors'] == [[list(size) for size in level] for level in OTHER_ANCHORS]
    config = load_config(written[1])
    assert config.model.bbox_head.prior_generator.base_sizes == OTHER_ANCHORS
    ready = load_model(written[1], written[0], 'cpu')
    assert ready.class_names == ('x', 'y', 'z')
    assert ready.has_masks
    assert_equal(dict(ready.network.state_dict()), own)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert config[loader].dataset.metainfo.classes == ('x', 'y', 'z')


def test_usual_anchors_need_no_config(tmp_path: Path) -> None:
    source = layout.save_official(tmp_path / 'a.pt', layout.official_weights(own_weights()))
    found = convert_file(source)
    assert write_converted(found, source, tmp_path / 'b.pth') == [tmp_path / 'b.pth']
    with pytest.raises(DataError, match='--overwrite'):
        write_converted(found, source, tmp_path / 'b.pth')
    write_converted(found, source, tmp_path / 'b.pth', tmp_path / 'c.py', overwrite=True)
    assert Config.fromfile(tmp_path / 'c.py').classes == tuple(layout.NAMES)
    with pytest.raises(DataError, match='its own name'):
        write_converted(found, source, source, overwrite=True)


def test_what_has_no_place_is_listed(tmp_path: Path) -> None:
    weights = layout.official_weights(own_weights())
    weights['model.24.anchor_grid'] = torch.ones(3, 1, 3, 1, 1, 2)
    weights['model.9.m.weight'] = torch.ones(2)
    found = convert_file(layout.save_official(tmp_path / 'a.pt', weights))
    assert sorted(found.unmatched) == ['model.24.anchor_grid', 'model.9.m.weight']
    assert 'left out, without a place here: 2: ' in '\n'.join(found.lines())


def without(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if part not in name}


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda w: w | {'model.33.m.0.weight': torch.ones(1)}, 'P6 model'),
        (lambda w: w | {'model.24.dfl.conv.weight': torch.ones(1)}, 'without anchors'),
        (lambda w: without(w, 'model.17.cv3'), 'missing: 5: neck.top_down_layers.1.final_conv'),
        (lambda w: without(w, 'model.0.'), 'the first or the last layer'),
        (lambda w: w | {'model.10.conv.weight': torch.ones(2)}, r'other shapes: 1: neck.reduce'),
        (lambda w: w | {'model.0.conv.weight': torch.ones(20, 3, 6, 6)}, 'first layer of 20'),
        (lambda w: without(w, 'model.6.m.2'), 'stages of 1, 2, 2, 1 bottlenecks'),
        (lambda w: w | {'model.24.m.0.weight': torch.ones(25, 64, 1, 1)}, '25 outputs'),
        (lambda w: w | {'model.0.bn.weight': torch.ones(16).int()}, 'other types'),
        (lambda w: w | {'model.24.anchors': torch.ones(4, 3, 2)}, 'anchors have the shape'),
        (lambda w: {}, 'holds no weights'),
    ],
)
def test_other_models_are_refused_in_one_line(edit: Any, message: str, tmp_path: Path) -> None:
    weights = edit(layout.official_weights(own_weights()))
    path = layout.save_official(tmp_path / 'a.pt', weights)
    with pytest.raises(CheckpointError, match=f'a.pt.*{message}') as caught:
        convert_file(path)
    assert '\n' not in str(caught.value)


def fused(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop batch norms, and give their convolutions a bias."""
    kept = {name: tensor for name, tensor in weights.items() if '.bn.' not in name}
    for name in [name for name in kept if name.endswith('.conv.weight')]:
        kept[name.replace('weight', 'bias')] = kept[name].flatten(1).mean(1)
    return kept


def test_fused_weights_get_norms_that_add_a_bias(tmp_path: Path) -> None:
    weights = fused(layout.official_weights(own_weights()))
    found = convert_file(layout.save_official(tmp_path / 'a.pt', weights))
    assert found.num_fused == 57
    assert 'do not fine-tune' in '\n'.join(found.lines())
    norm = torch.nn.BatchNorm2d(16, eps=1e-3)
    norm.load_state_dict(
        {
            name: found.weights[f'backbone.stem.bn.{name}']
            for name in ('weight', 'bias', 'running_mean', 'running_var')
        },
        strict=False,
    )
    x = torch.randn(1, 16, 2, 2)
    expected = x + weights['model.0.conv.bias'][None, :, None, None]
    torch.testing.assert_close(norm.eval()(x), expected, rtol=1e-6, atol=1e-6)


def test_onnx_exports(tmp_path: Path) -> None:
    onnx = pytest.importorskip('onnx')
    weights = fused(layout.official_weights(own_weights()))
    weights.pop('model.24.anchors')
    grids = {
        f'/model.24/Constant_{level}': torch.tensor(sizes).float()[None, :, None, None]
        for level, sizes in reversed([*enumerate(OTHER_ANCHORS)])
    }
    grids['/model.24/grid'] = torch.rand(1, 3, 4, 4, 2) * 9
    tensors = [
        onnx.numpy_helper.from_array(tensor.expand(1, 3, 4, 4, 2).numpy(), name)
        if name in grids
        else onnx.numpy_helper.from_array(tensor.numpy(), name)
        for name, tensor in (weights | grids).items()
    ]
    graph = onnx.helper.make_graph([], 'official', [], [], tensors)
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {'names': "{0: 'x', 1: 'y', 2: 'z'}", 'stride': '32'})
    onnx.save(model, tmp_path / 'a.onnx')
    found = convert_file(tmp_path / 'a.onnx')
    assert (found.model, found.num_fused) == (NANO, 57)
    assert found.classes == ('x', 'y', 'z')
    assert found.anchors == tuple(map(tuple, OTHER_ANCHORS))
    assert torch.equal(
        found.weights['neck.reduce_layers.2.conv.weight'], weights['model.10.conv.weight']
    )
    (tmp_path / 'b.onnx').write_bytes(b'no graph')
    with pytest.raises(CheckpointError, match='b.onnx'):
        convert_file(tmp_path / 'b.onnx')


def test_the_real_file(tmp_path: Path) -> None:
    source = shared_path('data/weights/yolov5n.pt')
    found = convert_file(source)
    assert found.model == official.Architecture('n', 80, 3, 0)
    assert len(found.weights) == 348
    assert (found.unmatched, found.has_other_anchors) == ((), False)
    assert found.classes is not None
    assert found.classes[:2] == ('person', 'bicycle')
