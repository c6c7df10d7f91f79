"""Tests of finding the photos of one run in another."""

from pathlib import Path

from mmyolo_lite.visualization.report.compare import found_on, partners
from tests.visualization.report.work_dirs import image, square


def test_photos_are_found_by_path_then_by_unique_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = [image(i, Path(name)) for i, name in enumerate(('a/1.jpg', 'a/2.jpg', 'b/2.jpg', '3'))]
    other = [image(i, Path(name)) for i, name in enumerate(('x/1.jpg', '3', 'x/2.jpg'))]
    other[1]['width'] += 1
    other.append(image(3, tmp_path / 'a/../a/2.jpg'))
    assert partners(own, other) == [other[0], other[3], None, None]
    own[0]['path'] = None
    assert partners(own, other)[0] is None


def test_matches_are_those_of_the_same_truth_else_made_anew():
    own, other = image(1, Path('a')), image(1, Path('a'))
    assert [one['match']['segm'] for one in found_on(own, other, [0, 1])] == [0, 1, -1]
    own['gt'].reverse()
    assert [one['match'] for one in found_on(own, other, [0, 1])] == [
        {'bbox': 2},
        {'bbox': 1},
        {'bbox': -1},
    ]
    own['gt'] = []
    assert {one['match']['bbox'] for one in found_on(own, other, [0, 1])} == {-1}
    own['gt'] = [{**square(20, 40), 'label': 0, 'crowd': 1}]
    other['pred'] = []
    assert found_on(own, other, [0, 1]) == []
