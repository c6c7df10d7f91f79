"""The heads: list-style batches, priors, warnings, results in network pixels, refusals."""

from typing import Any
from unittest import mock

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.models import priors
from mmyolo_lite.models.heads import yolov5_head
from mmyolo_lite.models.priors import PriorCache
from mmyolo_lite.registry import MODELS, TASK_UTILS
from tests.models import golden_models as gm
from tests.models.tiny import INPUT_HW, detector, head, images

MASK_HW = (INPUT_HW[0] // 4, INPUT_HW[1] // 4)
BOXES = ([[8.0, 8, 40, 40], [10.0, 20, 60, 50]], [], [[30.0, 5, 90, 60]])


def masks_of(count: int, overlap: bool, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if overlap:
        return torch.randint(0, count + 1, (1, *MASK_HW), generator=generator, dtype=torch.uint8)
    return torch.randint(0, 2, (count, *MASK_HW), generator=generator, dtype=torch.uint8)


def listed(form: str) -> list[DetDataSample]:
    """Return data samples as the pipeline packs them; `form` is 'det', 'overlap' or 'separate'."""
    samples = []
    for seed, boxes in enumerate(BOXES):
        sample = DetDataSample(metainfo={'ori_shape': INPUT_HW, 'img_shape': INPUT_HW})
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes).view(-1, 4), labels=torch.arange(len(boxes))
        )
        if form == 'overlap':
            sample.gt_panoptic_seg = PixelData(pan_seg=masks_of(len(boxes), True, seed))
        elif form == 'separate':
            sample.gt_instances.masks = masks_of(len(boxes), False, seed)
        samples.append(sample)
    return samples


def packed(form: str) -> dict[str, torch.Tensor]:
    rows = [
        [image, label, *box] for image, boxes in enumerate(BOXES) for label, box in enumerate(boxes)
    ]
    batch = {'bboxes_labels': torch.tensor(rows)}
    if form != 'det':
        batch['masks'] = torch.cat(
            [masks_of(len(b), form == 'overlap', seed) for seed, b in enumerate(BOXES)]
        )
    return batch


@pytest.mark.parametrize('preprocessor', ['YOLOv5DetDataPreprocessor', 'mmdet.DetDataPreprocessor'])
@pytest.mark.parametrize('form', ['det', 'overlap', 'separate'])
def test_lists_of_samples_give_the_loss_of_the_packed_batch(form: str, preprocessor: str) -> None:
    settings = {} if form == 'det' else {'mask_overlap': form == 'overlap'}
    model = detector('det' if form == 'det' else 'ins', **settings).train()
    listing = MODELS.build(
        {'type': preprocessor, 'mean': [0.0] * 3, 'std': [255.0] * 3, 'bgr_to_rgb': True}
    )
    fast = model.data_preprocessor(
        {'inputs': images(3), 'data_samples': packed(form)}, training=True
    )
    slow = listing({'inputs': list(images(3)), 'data_samples': listed(form)}, training=True)
    expected = model(**fast, mode='loss')
    found = model(**slow, mode='loss')
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert float(value.detach()) > 0
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize(('form', 'overlap'), [('overlap', False), ('separate', True)])
def test_masks_of_the_other_form_are_explained(form: str, overlap: bool) -> None:
    model = detector('ins', mask_overlap=overlap).train()
    batch = packed(form)
    batch['bboxes_labels'] = batch['bboxes_labels'][:2]  # as many objects as images would hide it
    batch['masks'] = torch.cat((batch['masks'], batch['masks']))
    data = model.data_preprocessor({'inputs': images(3), 'data_samples': batch}, training=True)
    with pytest.raises(DataError, match='mask_overlap'):
        model(**data, mode='loss')


def test_missing_masks_are_explained() -> None:
    model = detector('ins').train()
    data = model.data_preprocessor(
        {'inputs': images(3), 'data_samples': packed('det')}, training=True
    )
    with pytest.raises(DataError, match='with_mask=True and Polygon2Mask'):
        model(**data, mode='loss')


# ---- construction


@pytest.mark.parametrize('kind', ['det', 'ins'])
@pytest.mark.parametrize(('num_classes', 'times'), [(1, 1), (2, 0)])
def test_one_class_is_announced_once_a_build(kind: str, num_classes: int, times: int) -> None:
    with mock.patch.object(yolov5_head, 'print_log') as log:
        model = detector(kind, num_classes)
        model.train()
        model.eval()(images().float())
    messages = [call.args[0] for call in log.call_args_list if 'num_classes == 1' in call.args[0]]
    assert len(messages) == times
    if times:
        assert messages[0].startswith(
            'You are using `YOLOv5Head` with num_classes == 1. The loss_cls will be 0.'
        )


def test_an_unusual_match_threshold_is_announced() -> None:
    with mock.patch.object(yolov5_head, 'print_log') as log:
        MODELS.build(head('det', prior_match_thr=3.0))
    assert log.call_count == 1 and '3.0' in log.call_args.args[0]


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'obj_level_weights': [4.0, 1.0]}, 'obj_level_weights has 2 numbers.*has 3'),
        (
            {
                'prior_generator': {
                    'type': 'mmdet.YOLOAnchorGenerator',
                    'base_sizes': [[(10, 13)]] * 3,
                    'strides': [8, 16, 32],
                }
            },
            r'base_sizes must hold 3 lists .* of 3',
        ),
        (
            {
                'prior_generator': {
                    'type': 'mmdet.YOLOAnchorGenerator',
                    'base_sizes': [[(10, 13)] * 3] * 2,
                    'strides': [8, 16],
                }
            },
            'base_sizes must hold 3 lists',
        ),
    ],
)
def test_levels_that_disagree_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MODELS.build(head('det', **settings))


@pytest.mark.parametrize('kind', ['det', 'ins'])
def test_initialising_twice_shifts_the_biases_once(kind: str) -> None:
    module = MODELS.build(head(kind)['head_module'])
    for _ in range(2):
        module.init_weights()
    for convolution, shift in zip(module.convs_pred, (-6.6846, -5.2983, -3.9120), strict=True):
        bias = convolution.bias.detach().view(3, -1)
        bound = convolution.in_channels**-0.5 + 1e-3  # PyTorch's default is uniform in it
        assert (bias[:, 4] - shift).abs().max() <= bound
        assert (bias[:, 5:8] + 1.2040).abs().max() <= bound
        assert bias[:, :4].abs().max() <= bound
        assert kind == 'det' or bias[:, 8:].abs().max() <= bound


def test_prototypes_pass_through_the_activation() -> None:
    module = MODELS.build(head('ins')['head_module']).eval()
    feats = [
        torch.randn(1, c, 8 // s, 12 // s) * 10
        for c, s in zip((32, 64, 128), (1, 2, 4), strict=True)
    ]
    prototypes = module(feats)[4]
    assert prototypes.shape == (1, 4, 16, 24)
    assert prototypes.min() >= -0.2785


# ---- priors


def cache() -> PriorCache:
    return PriorCache(
        TASK_UTILS.build(
            {
                'type': 'mmdet.YOLOAnchorGenerator',
                'strides': [8, 16, 32],
                'base_sizes': yolov5_head.COCO_ANCHORS,
            }
        )
    )


def test_priors_follow_the_dtype_and_are_made_once() -> None:
    found = cache()
    sizes, cpu = [(4, 6), (2, 3), (1, 2)], torch.device('cpu')
    first = found.levels(sizes, torch.float32, cpu)
    low = found.levels(sizes, torch.bfloat16, cpu)
    assert {p.dtype for p in first} == {torch.float32} and {p.dtype for p in low} == {
        torch.bfloat16
    }
    assert found.levels([torch.Size(s) for s in sizes], torch.float32, cpu) is first
    assert [len(p) for p in first] == [72, 18, 6]
    assert first[0][3 * 1].tolist() == [
        12 - 5,
        4 - 6.5,
        12 + 5,
        4 + 6.5,
    ]  # prior 0 of row 0, column 1


def test_the_cache_is_bounded() -> None:
    found = cache()
    for side in range(1, 3 * priors.MAX_CACHED_SIZES):
        found.levels([(side, side)] * 3, torch.float32, torch.device('cpu'))
        assert len(found._cache) <= priors.MAX_CACHED_SIZES


def test_one_head_predicts_from_maps_of_any_precision() -> None:
    model = detector('ins').eval()
    metas = [{'ori_shape': INPUT_HW, 'scale_factor': (1.0, 1.0), 'batch_input_shape': INPUT_HW}]
    with torch.no_grad():
        maps = model(images(1).float() / 255)
        low = [[m.bfloat16() for m in level] for level in maps[:4]] + [maps[4].bfloat16()]
        for given in (maps, low, maps):
            result = model.bbox_head.predict_by_feat(given, metas)[0]
            assert result.bboxes.dtype == result.scores.dtype == torch.float32


# ---- results in network pixels


def predict(kind: str, rescale: bool, **cfg: Any) -> tuple[InstanceData, Any]:
    model = detector(kind).eval()
    meta = {
        'ori_shape': (30, 60),
        'img_shape': (60, 96),
        'scale_factor': (1.6, 1.6),
        'batch_input_shape': INPUT_HW,
        'pad_param': [8.0, 8.0, 0.0, 0.0],
    }
    with torch.no_grad():
        maps = model(images(1).float() / 255)
        for obj_map in maps[2]:
            obj_map += 6
        result = model.bbox_head.predict_by_feat(
            maps, [meta], {**model.bbox_head.test_cfg, **cfg}, rescale=rescale
        )
    return result[0], model


@pytest.mark.parametrize('fast_test', [True, False])
@pytest.mark.parametrize('count', [1, 7])
def test_masks_without_rescaling_are_in_network_pixels(count: int, fast_test: bool) -> None:
    found, _ = predict('ins', rescale=False, max_per_img=count, fast_test=fast_test)
    assert len(found) == count
    assert found.masks.shape == (count, *INPUT_HW) and found.masks.dtype == torch.bool
    height, width = INPUT_HW
    assert found.bboxes.min() >= 0
    assert found.bboxes[:, ::2].max() <= width and found.bboxes[:, 1::2].max() <= height
    assert found.bboxes[:, 2:].max() > 60, 'not clipped to the original image'
    assert found.masks.any()
    for mask, (x1, y1, x2, y2) in zip(found.masks, found.bboxes.tolist(), strict=True):
        rows, columns = mask.nonzero(as_tuple=True)
        assert ((columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)).all()


def test_both_frames_hold_the_same_instances() -> None:
    (network, _), (original, _) = predict('ins', rescale=False), predict('ins', rescale=True)
    assert original.masks.shape == (len(original), 30, 60)
    assert torch.equal(network.scores, original.scores)
    assert torch.equal(network.labels, original.labels)


@pytest.mark.parametrize('kind', ['det', 'ins'])
@pytest.mark.parametrize('rescale', [True, False])
def test_nothing_found_has_the_fields_of_something_found(kind: str, rescale: bool) -> None:
    nothing, _ = predict(kind, rescale, score_thr=0.9999)
    something, _ = predict(kind, rescale)
    assert len(nothing) == 0 < len(something)
    assert set(nothing.keys()) == set(something.keys())
    for name in something.keys():  # noqa: SIM118  (InstanceData iterates over instances)
        assert nothing[name].dtype == something[name].dtype
        assert nothing[name].shape[1:] == something[name].shape[1:]


def test_results_are_sorted_and_cut() -> None:
    found, _ = predict('det', rescale=True, max_per_img=5)
    assert len(found) == 5
    assert torch.equal(found.scores, found.scores.sort(descending=True).values)


def test_an_image_gives_the_same_result_alone_and_in_a_padded_batch() -> None:
    model = gm.build('ins').eval()
    image = gm.tensor(gm.archive('ins')['img_u8'])[:1, [2, 1, 0]].float() / 255
    height, width = gm.INPUT_HW
    meta = {
        'ori_shape': (240, 320),
        'img_shape': gm.INPUT_HW,
        'scale_factor': (0.5, 0.5),
        'pad_param': [4.0, 4.0, 0.0, 0.0],
    }
    settings = {**model.test_cfg, 'score_thr': 0.05, 'max_per_img': 10, 'fast_test': True}
    with torch.no_grad():
        maps = model.bbox_head(model.neck(model.backbone(image)))
        # what padding at the right and at the bottom adds to the maps: nothing is found there
        padded = [
            [
                torch.nn.functional.pad(m, (0, m.shape[-1], 0, m.shape[-2]), value=-9.0)
                for m in level
            ]
            for level in maps[:4]
        ]
        protos = torch.nn.functional.pad(maps[4], (0, width // 4, 0, height // 4))
        alone, together = (
            model.bbox_head.predict_by_feat(given, [{**meta, 'batch_input_shape': size}], settings)[
                0
            ]
            for given, size in ((maps, gm.INPUT_HW), ([*padded, protos], (2 * height, 2 * width)))
        )
    assert len(alone.scores) == len(together.scores) > 0
    torch.testing.assert_close(alone.bboxes, together.bboxes)
    assert torch.equal(alone.masks, together.masks)


def test_a_label_beyond_the_classes_ends_the_training() -> None:
    model = detector('det')  # of 3 classes
    targets = {'bboxes_labels': torch.tensor([[0.0, 5, 8, 8, 40, 40]])}
    batch = model.data_preprocessor({'inputs': images(1), 'data_samples': targets}, True)
    with pytest.raises(DataError, match='label 5, but the head has 3 classes'):
        model(**batch, mode='loss')
