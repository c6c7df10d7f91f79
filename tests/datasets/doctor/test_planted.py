"""Every kind of fault, planted in a clean set, is found, and nothing else."""

import pytest

from mmyolo_lite.datasets.doctor.kinds import KINDS, Severity
from mmyolo_lite.datasets.doctor.sets import CheckedSet, check_sets
from tests.datasets.doctor.planted import FAULTS, FOLLOWING, PlantedSet

# planted between several sets, in test_sets.py, or not made by one entry
OTHERS = {
    *(
        'unreadable-file',
        'no-images',
        'no-objects',
        'class-not-in-file',
        'leak-file',
        'leak-content',
    ),
    *('same-annotation-file', 'category-not-configured', 'class-without-objects'),
    *('class-only-in-val', 'class-imbalance', 'tiny-object', 'rare-class', 'small-objects'),
    'image-too-large',
}
PLANTS = [(code, i) for code, ways in FAULTS.items() for i in range(len(ways))]


@pytest.fixture
def planted(tmp_path):
    return PlantedSet(tmp_path)


def check(planted, **kwargs):
    one = CheckedSet(str(planted.write()), str(planted.folder / 'images'), **kwargs)
    return check_sets([one])


def test_every_kind_is_planted_somewhere():
    assert set(FAULTS) | OTHERS == set(KINDS)
    assert len(FAULTS) >= 25


def test_nothing_is_found_in_the_clean_set(planted):
    report = check(planted)
    assert report.counts == {}
    assert report.exit_code == 0
    assert report.lines()[-1] == 'nothing found'


@pytest.mark.parametrize(('code', 'way'), PLANTS)
def test_exactly_the_planted_fault_is_found(planted, code, way):
    FAULTS[code][way](planted)
    report = check(planted)
    assert code in report.counts, report.lines()
    assert set(report.counts) - {code} <= FOLLOWING.get(code, set()), report.lines()
    severities = {KINDS[found].severity for found in report.counts}
    assert report.exit_code == max(severities) >= KINDS[code].severity
    assert Severity(report.exit_code) is report.worst
