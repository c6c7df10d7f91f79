"""The report: counts, first cases, one line, JSON, exit code."""

import pytest

from mmyolo_lite.datasets.coco_checks import Defect
from mmyolo_lite.datasets.doctor.annotations import quick_check
from mmyolo_lite.datasets.doctor.findings import Report
from mmyolo_lite.datasets.doctor.kinds import KINDS, Severity
from tests.datasets.doctor.planted import FAULTS, PlantedSet


@pytest.mark.parametrize(
    ('codes', 'exit_code'),
    [
        ([], 0),
        (['crowd'], 0),
        (['crowd', 'id-zero'], 1),
        (['polygon-flat', 'id-zero'], 2),
    ],
)
def test_exit_code_and_order(codes, exit_code):
    report = Report()
    for code in codes:
        report.add(Defect(code, 'x'))
    assert report.exit_code == report.to_json()['exit_code'] == exit_code
    severities = [KINDS[code].severity for code in report.counts]
    assert severities == sorted(severities, reverse=True)


def test_only_the_first_ten_cases_are_kept_and_all_are_counted():
    report = Report()
    content = {'annotations': [{'id': i, 'image_id': 1} for i in range(25)]}
    content['images'] = [{'id': 1, 'file_name': 'a.jpg'}]
    defects = [Defect('crowd', f'case {i}', 'annotations', i) for i in range(25)]
    report.extend(defects, content, 'train')
    assert report.counts == {'crowd': 25}
    cases = report.cases('crowd')
    assert [case.entry_id for case in cases] == list(range(10))
    assert {case.file_name for case in cases} == {'a.jpg'}
    assert "    train: 'a.jpg': case 9" in report.lines()
    assert '    and 15 more' in report.lines()
    (finding,) = report.to_json()['findings']
    assert finding['count'] == 25 and finding['severity'] == 'info'
    assert len(finding['cases']) == 10


def test_one_line_stays_short(tmp_path):
    report = Report()
    for code in list(KINDS)[:20]:
        report.add(Defect(code, 'x'))
    line = report.one_line()
    assert '14 other kinds' in line and '\n' not in line and len(line) < 400


def test_the_quick_check_sees_what_needs_no_files(tmp_path):
    planted = PlantedSet(tmp_path)
    report = quick_check(planted.content, 'ann.json', ('cat', 'dog'))
    assert report.one_line() == 'dataset check: ann.json: 4 images, 12 objects, nothing found'
    FAULTS['polygon-flat'][0](planted)
    report = quick_check(planted.content, 'ann.json', ('cat', 'dog', 'cow'))
    assert report.counts == {'polygon-flat': 1, 'class-not-in-file': 1}


@pytest.mark.parametrize('content', [None, [], {}, 7, {'images': 7, 'annotations': {}}])
def test_the_quick_check_takes_anything(content):
    assert set(quick_check(content, 'x').counts) == {'missing-list'}


def test_every_kind_says_what_it_means_and_what_to_do():
    for kind in KINDS.values():
        assert isinstance(kind.severity, Severity)
        assert kind.meaning and kind.remedy
        assert not kind.meaning.endswith('.')
