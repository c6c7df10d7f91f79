"""File names from URLs stay in their folder, and every known data set is complete."""

import pytest

from mmyolo_lite.datasets.download.sources import (
    DATA_SETS,
    Checksum,
    file_name,
    is_archive_name,
    shown,
    stem,
)
from mmyolo_lite.errors import ConfigError


def test_the_known_sets():
    assert list(DATA_SETS) == [
        'coco2017',
        'coco2014',
        'lvis',
        'voc2007',
        'voc2012',
        'balloon',
        'cat',
    ]
    for name, data_set in DATA_SETS.items():
        names = [file_name(source.location) for source in data_set.sources]
        assert len(set(names)) == len(names) > 0
        assert all(map(is_archive_name, names))
        assert data_set.save_dir == ('data/coco' if name == 'coco2017' else f'data/{name}')
        for source in data_set.sources:
            if source.checksum:
                Checksum.parse(source.checksum.algorithm, source.checksum.digest)
    # train once and val once
    lvis = [file_name(source.location) for source in DATA_SETS['lvis'].sources]
    assert lvis == ['lvis_v1_train.json.zip', 'lvis_v1_val.json.zip']


@pytest.mark.parametrize(
    ('url', 'name'),
    [
        ('http://host/a/b.zip', 'b.zip'),
        ('https://host:8/b.zip?x=../../c#../d', 'b.zip'),
        ('HTTP://host/with%20space.tar.gz', 'with space.tar.gz'),
        ('http://host/a%2f..%2f..%2fb.zip', 'b.zip'),
        ('http://host/a%5C..%5Cb.zip', 'b.zip'),
        ('http://user:secret@host/b.zip', 'b.zip'),
        ('http://host/gr%C3%BC%C3%9Fe.zip', 'grüße.zip'),
    ],
)
def test_file_names(url, name):
    assert file_name(url) == name


@pytest.mark.parametrize(
    'url',
    [
        'http://host',
        'http://host/',
        'http://host/a/',
        'http://host/?file=a.zip',
        'http://host/..',
        'http://host/%2e%2e',
        'http://host/a/%2e%2e%2f',
        'http://host/.hidden',
        'http://host/%00a.zip',
        'http://host/a%0ab.zip',
        'http://host/C:a.zip',
        'http://host/a.zip.part',
        'http://host/a.zip.part.json',
        'http://host/' + 'n' * 201,
        'http://host/%ff%ed%a0%80\udc80.zip',
        'http:///a.zip',
        'http://[bad/a.zip',
        'ftp://host/a.zip',
        'file:///etc/passwd',
        'javascript://host/a',
    ],
)
def test_urls_without_a_usable_name(url):
    with pytest.raises(ConfigError):
        file_name(url)


def test_passwords_are_not_shown():
    assert shown('https://me:secret@host:8/a.zip?b=1') == 'https://host:8/a.zip?b=1'
    assert '\n' not in shown('http://host/\n') and shown('http://[') == 'http://['


@pytest.mark.parametrize(
    ('name', 'without'),
    [('a.zip', 'a'), ('a.b.tar.gz', 'a.b'), ('a.json', 'a'), ('A.TGZ', 'A'), ('.zip', '.zip')],
)
def test_stem(name, without):
    assert stem(name) == without


@pytest.mark.parametrize('digest', ['', 'abc', 'g' * 64, 'a' * 65, 'a' * 64 + '\n'])
def test_bad_checksums(digest):
    with pytest.raises(ConfigError, match='64 hexadecimal'):
        Checksum.parse('sha256', digest)
