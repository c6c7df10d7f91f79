"""Evaluation and pictures from the command line, on a tiny data set."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmyolo_lite.apis.browse import has_display
from tests.tools import journey


def run_test(segmenter, tools, folder: Path, *options: str):
    arguments = (
        'tools/test.py',
        segmenter.config,
        segmenter.only('best_*.pth'),
        '--work-dir',
        folder / 'wd',
    )
    done = tools.run(
        folder,
        *arguments,
        '--show-dir',
        'show_results',
        '--out',
        'r.pkl',
        '--json-prefix',
        'p',
        *options,
    )
    done.check()
    (pictures,) = (folder / 'wd').glob('*/show_results')
    assert f'pictures: {pictures}' in done.out
    return done, {path.name: cv2.imread(str(path)) for path in pictures.iterdir()}


@pytest.fixture(scope='module')
def tested(segmenter, tools, tmp_path_factory):
    folder = tmp_path_factory.mktemp('tested')
    # above every score, so that no prediction is drawn, whatever a short training came to
    none_drawn = 'default_hooks.visualization.score_thr=1.1'
    return folder, *run_test(segmenter, tools, folder, '--cfg-options', none_drawn)


def val_images(data: Path) -> dict[str, np.ndarray]:
    return {path.name: cv2.imread(str(path)) for path in (data / 'val').glob('*.jpg')}


def test_tables_of_boxes_and_masks(tested):
    _, done, _ = tested
    assert done.out.count(' Average Precision ') == 2 * 6
    assert 'coco/bbox_mAP: ' in done.out and 'coco/segm_mAP: ' in done.out
    assert f'test of {journey.NUM_VAL} images in ' in done.out
    assert done.err == ''


def test_one_picture_per_image_twice_as_wide(tested, data):
    images, pictures = val_images(data), tested[2]
    assert set(pictures) == set(images)
    assert len(pictures) == journey.NUM_VAL
    for name, picture in pictures.items():
        height, width = images[name].shape[:2]
        assert picture.shape == (height, 2 * width, 3)


def test_ground_truth_masks_are_on_the_left_and_predictions_on_the_right(tested, data):
    """No prediction passes the threshold of drawing, so the right half is the photo."""
    content = json.loads((data / 'val.json').read_text())
    images, pictures = val_images(data), tested[2]
    names = {image['id']: image['file_name'] for image in content['images']}
    changes = []
    for annotation in content['annotations']:
        photo, picture = (
            images[names[annotation['image_id']]],
            pictures[names[annotation['image_id']]],
        )
        inside = np.zeros(photo.shape[:2], np.uint8)
        ring = np.array(annotation['segmentation'][0]).reshape(-1, 2).round().astype(int)
        cv2.fillPoly(inside, [ring], 1)
        core = cv2.erode(inside, np.ones((7, 7))).astype(bool)
        if core.sum() < 20:
            continue
        left, right = np.split(picture.astype(float), 2, axis=1)
        changes.append((np.abs(left - photo)[core].mean(), np.abs(right - photo)[core].mean()))
    assert len(changes) >= 3
    assert min(left for left, _ in changes) > 20
    assert max(right for _, right in changes) < 10


def test_result_files(tested, data):
    folder = tested[0]
    predictions = pickle.loads((folder / 'r.pkl').read_bytes())
    images = {image['id']: image for image in json.loads((data / 'val.json').read_text())['images']}
    assert {sample['img_id'] for sample in predictions} == set(images)
    for sample in predictions:
        found = sample['pred_instances']
        assert (
            len(found['scores'])
            == len(found['bboxes'])
            == len(found['labels'])
            == len(found['masks'])
        )
        assert all(tuple(mask['size']) == tuple(sample['ori_shape']) for mask in found['masks'])
    boxes, masks = (
        json.loads((folder / f'p.{kind}.json').read_text()) for kind in ('bbox', 'segm')
    )
    assert (
        len(boxes)
        == len(masks)
        == sum(len(sample['pred_instances']['scores']) for sample in predictions)
        > 0
    )
    assert {entry['category_id'] for entry in boxes} == {
        category['id'] for category in json.loads((data / 'val.json').read_text())['categories']
    }


def test_pictures_and_files_without_any_detection(segmenter, tools, data, tmp_path):
    done, pictures = run_test(
        segmenter, tools, tmp_path, '--cfg-options', 'model.test_cfg.score_thr=0.999'
    )
    assert set(pictures) == set(val_images(data))
    assert json.loads((tmp_path / 'p.bbox.json').read_text()) == []
    assert json.loads((tmp_path / 'p.segm.json').read_text()) == []
    assert len(pickle.loads((tmp_path / 'r.pkl').read_bytes())) == journey.NUM_VAL
    assert done.err == ''


def test_augmented_views_for_boxes(detector, tools, tmp_path):
    checkpoint = detector.only('best_*.pth')
    done = tools.run(
        tmp_path, 'tools/test.py', detector.config, checkpoint, '--tta', '--out', 'r.pkl'
    ).check()
    assert 'coco/bbox_mAP: ' in done.out
    plain = tools.run(
        tmp_path, 'tools/test.py', detector.config, checkpoint, '--out', 'plain.pkl'
    ).check()
    assert 'coco/bbox_mAP: ' in plain.out
    merged, single = (
        pickle.loads((tmp_path / name).read_bytes()) for name in ('r.pkl', 'plain.pkl')
    )
    assert len(merged) == journey.NUM_VAL
    for with_views, without in zip(merged, single, strict=True):
        height, width = with_views['ori_shape']
        boxes = with_views['pred_instances']['bboxes']
        assert len(boxes) > 0
        assert (
            boxes.min() >= -1 and boxes[:, 2].max() <= width + 1 and boxes[:, 3].max() <= height + 1
        )
        assert not np.array_equal(boxes, without['pred_instances']['bboxes'])


def test_augmented_views_for_masks(segmenter, tools, tmp_path):
    done = tools.run(
        tmp_path, 'tools/test.py', segmenter.config, segmenter.only('best_*.pth'), '--tta'
    ).check()
    assert 'coco/bbox_mAP: ' in done.out and 'coco/segm_mAP: ' in done.out


@pytest.mark.skipif(has_display(), reason='there is a display, and windows would open')
def test_a_window_where_none_can_be_opened(segmenter, tools, tmp_path):
    options = ('--show', '--work-dir', tmp_path / 'wd')
    done = tools.run(
        tmp_path, 'tools/test.py', segmenter.config, segmenter.only('best_*.pth'), *options
    )
    assert done.code == 1
    assert done.err == 'error: --show: no window can be opened here. Leave it out.\n'
    assert not (tmp_path / 'wd').exists()
