"""Numbers about a data set, counted by hand."""

from collections import Counter

import numpy as np
import pytest

from mmyolo_lite.datasets import statistics
from mmyolo_lite.datasets.statistics import BoxTable


def table(classes: tuple[str, ...] = ('a', 'b', 'c')) -> BoxTable:
    """Three images; the last has no box, the second a crowd alone."""
    return BoxTable(
        classes,
        labels=np.array([1, 1, 0, 1]),
        image_index=np.array([0, 0, 0, 1]),
        boxes_xyxy=np.array(
            [[0, 0, 10, 20], [0, 0, 10, 20], [5, 5, 105, 55], [0, 0, 200, 100]], dtype=np.float64
        ),
        crowd=np.array([False, False, False, True]),
        images_wh=np.array([[1280, 640], [320, 320], [640, 480]], dtype=np.float64),
    )


def test_description() -> None:
    report = statistics.describe(table(), 'set.json', (640, 640), Counter(small=3))
    assert (report.images, report.images_without_objects, report.boxes) == (3, 2, 4)
    assert (report.crowd, report.duplicate_boxes) == (1, 1)
    assert report.boxes_per_image == dict(min=0, median=1.0, mean=1.33, max=3)
    rows = [(row['name'], row['boxes'], row['share'], row['images']) for row in report.per_class]
    assert rows == [('b', 3, 0.75, 2), ('a', 1, 0.25, 1), ('c', 0, 0.0, 0)]
    # shorter sides at 640 x 640: 5, 5, 25, 200
    assert report.below == {'8': 0.5, '16': 0.5, '32': 0.75}
    assert report.sizes['width']['p50'] == 55 and report.sizes['height']['p99'] <= 100
    assert report.warnings == [
        "1 configured classes have no box: 'c'",
        "2 classes have fewer than 10 boxes: 'a', 'b'",
    ]
    text = '\n'.join(report.lines())
    assert 'left out, small: 3' in text and 'warning: 1 configured' in text


def test_areas_fall_into_classes_with_their_lower_edge() -> None:
    sides = np.array([31.99, 32, 95.9, 96, 500])
    boxes = np.column_stack([np.zeros((5, 2)), sides, sides])
    one = BoxTable(
        ('a',), np.zeros(5, int), np.zeros(5, int), boxes, np.zeros(5, bool), np.ones((1, 2))
    )
    assert statistics.area_counts(one).tolist() == [[1, 2, 2]]
    assert statistics.area_counts(one, [400, 50]).tolist() == [[2, 2, 1]]
    assert statistics.area_edges([400, 50]).tolist() == [0, 50, 400, 1e5]


def test_one_class_keeps_all_images() -> None:
    one = table().of_class(0)
    assert len(one.labels) == 1 and len(one.images_wh) == 3


def test_no_boxes_at_all() -> None:
    none = table().of_class(2)
    report = statistics.describe(none, 'empty', (640, 640), Counter())
    assert (report.boxes, report.images_without_objects) == (0, 3)
    assert report.lines()


def test_drops_have_their_reason() -> None:
    image = dict(id=1, width=100, height=100, file_name='a.jpg')
    boxes = [[0, 0, 9, 9], [200, 0, 9, 9], [0, 0, 0.5, 9], [0, 0, 9, 9], [0, 0, 9, 9]]
    annotations = [
        dict(id=n, image_id=1, category_id=1, bbox=box, area=81) for n, box in enumerate(boxes, 1)
    ]
    annotations[3]['ignore'] = True
    annotations[4]['category_id'] = 2
    content = dict(
        images=[image, dict(image, id=2)],
        annotations=annotations,
        categories=[dict(id=1, name='a'), dict(id=2, name='b')],
    )
    assert statistics.drop_reasons(content, ('a',), kept_images=1) == {
        'marked "ignore"': 1,
        'box outside the image': 1,
        'box under one pixel or area not positive': 1,
        'class not configured': 1,
        'images (filter_cfg)': 1,
    }


@pytest.mark.parametrize(
    ('training', 'absent'), [(('a', 'b', 'x'), []), (('x', 'y', 'z'), ['b', 'a'])]
)
def test_classes_absent_in_training(training: tuple[str, ...], absent: list[str]) -> None:
    reports = [
        statistics.describe(table(names), '', (640, 640), Counter())
        for names in (training, ('a', 'b', 'c'))
    ]
    assert statistics.absent_in_training(*reports) == absent
