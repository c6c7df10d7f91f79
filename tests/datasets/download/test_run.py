"""Whole runs: fetched, unpacked, verified, deleted; and what a second run does."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from mmyolo_lite.datasets.download import sources
from mmyolo_lite.datasets.download.fetch import FetchSettings
from mmyolo_lite.datasets.download.locks import only_run
from mmyolo_lite.datasets.download.run import make_plan, run_plan
from mmyolo_lite.errors import ConfigError, DataError
from tests.datasets.download.hostile import make_tar, make_zip

CONTENT = {'images/a.jpg': b'picture', 'labels.json': b'{}'}
ONCE = FetchSettings(pauses=(), read_seconds=5)
BALLOON = {
    **{f'balloon/train/{index}.jpg': b'x%d' % index for index in range(61)},
    **{f'balloon/val/{index}.jpg': b'y%d' % index for index in range(13)},
    'balloon/train/via_region_data.json': b'{}',
    'balloon/val/via_region_data.json': b'{}',
    '__MACOSX/balloon/._train': b'mac',
}


def run(folder: Path, *url: str, **options) -> list[str]:
    """Run with lines collected instead of printed."""
    lines: list[str] = []
    run_plan(make_plan(save_dir=str(folder), url=url, settings=ONCE, **options), lines.append)
    return lines


def visible(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and not path.name.startswith('.')
    }


def marker(folder: Path, name: str = 'a.zip') -> Path:
    return folder / f'.{name}.unpacked.json'


@pytest.mark.parametrize('suffix', ['.zip', '.tar', '.tar.gz'])
def test_fetch_unpack_delete_and_again(server, tmp_path, suffix):
    body = make_zip(CONTENT) if suffix == '.zip' else make_tar(CONTENT, f'w:{suffix[5:]}')
    url = server.serve(f'/a{suffix}', body)
    lines = run(tmp_path, url, unzip=True, delete=True)
    assert [line.split(': ')[1].split(',')[0] for line in lines] == [
        'fetched',
        f'unpacked 2 files into {tmp_path}',
        'deleted',
    ]
    assert visible(tmp_path) == CONTENT
    assert sorted(os.listdir(tmp_path)) == [f'.a{suffix}.unpacked.json', 'images', 'labels.json']
    assert run(tmp_path, url, unzip=True) == [
        f'{tmp_path}/a{suffix}: is unpacked already in {tmp_path}'
    ]
    assert len(server.requests) == 1


def test_without_unzip_the_archive_stays_packed(server, tmp_path):
    url = server.serve('/a.zip', make_zip(CONTENT))
    run(tmp_path, url)
    assert list(visible(tmp_path)) == ['a.zip']
    assert 'is there already' in run(tmp_path, url)[0]
    assert len(server.requests) == 1


@pytest.mark.parametrize('damage', ['short', 'changed', 'page'])
def test_a_broken_archive_is_fetched_again(server, tmp_path, damage):
    whole = make_zip(CONTENT, 0)
    broken = {
        'short': whole[:-5],
        'changed': whole.replace(b'picture', b'pictures'[1:]),
        'page': b'<html>',
    }[damage]
    (tmp_path / 'a.zip').write_bytes(broken)
    lines = run(tmp_path, server.serve('/a.zip', whole), unzip=True)
    assert 'fetching it again' in lines[0]
    assert visible(tmp_path) == {**CONTENT, 'a.zip': whole}


def test_a_marker_is_believed_only_while_it_is_true(server, tmp_path):
    url = server.serve('/a.zip', make_zip(CONTENT))
    run(tmp_path, url, unzip=True, delete=True)
    (tmp_path / 'labels.json').unlink()
    assert 'fetched' in run(tmp_path, url, unzip=True)[0]
    assert (tmp_path / 'labels.json').exists()
    # touched, the archive is recognised by its checksum; changed, it is unpacked
    os.utime(tmp_path / 'a.zip', (1, 1))
    assert len(run(tmp_path, url, unzip=True)) == 1
    (tmp_path / 'a.zip').write_bytes(make_zip({'new.txt': b'new'}))
    run(tmp_path, url, unzip=True)
    assert (tmp_path / 'new.txt').exists()
    # another URL of that name is another archive
    other = server.serve('/else/a.zip', make_zip({'other.txt': b''}))
    (tmp_path / 'a.zip').unlink()
    run(tmp_path, other, unzip=True)
    assert (tmp_path / 'other.txt').exists()


@pytest.mark.parametrize(
    'text',
    ['', 'null', '[]', '{"files": {}}', '{"files": {"\\u0000": 1}}', '{"files": 3}', '[' * 99999],
)
def test_a_spoilt_marker_counts_as_none(server, tmp_path, text):
    marker(tmp_path).write_text(text)
    run(tmp_path, server.serve('/a.zip', make_zip(CONTENT)), unzip=True)
    assert set(CONTENT) <= set(visible(tmp_path))


def test_local_archives_are_used_in_place(tmp_path):
    archive = tmp_path / 'mine/a.zip'
    archive.parent.mkdir()
    archive.write_bytes(make_zip(CONTENT))
    for _ in range(2):
        run(tmp_path / 'out', str(archive), unzip=True, delete=True)
    assert visible(tmp_path / 'out') == CONTENT
    assert archive.exists() and os.listdir(archive.parent) == ['a.zip']
    inside = tmp_path / 'out/b.zip'
    inside.write_bytes(make_zip({'b.txt': b''}))
    run(tmp_path / 'out', str(inside), unzip=True, delete=True)
    assert inside.exists()


def test_bad_local_archives(tmp_path):
    for name in ('none.zip', '.', 'a\nb.zip'):
        with pytest.raises((DataError, ConfigError)):
            run(tmp_path / 'out', str(tmp_path / name), unzip=True)
    broken = tmp_path / 'a.zip'
    broken.write_bytes(make_zip(CONTENT)[:-1])
    with pytest.raises(DataError, match='damaged'):
        run(tmp_path / 'out', str(broken), unzip=True)
    assert broken.exists() and visible(tmp_path / 'out') == {}


def test_several_files_and_several_failures(server, tmp_path):
    good = [server.serve(f'/{name}.zip', make_zip({name: b''})) for name in 'abc']
    run(tmp_path, *good, unzip=True, threads=2)
    assert {'a', 'b', 'c'} <= set(visible(tmp_path))
    urls = [
        server.url('/x.zip'),
        server.serve('/d.zip', make_zip({'d': b''})),
        server.url('/y.zip'),
    ]
    with pytest.raises(DataError) as caught:
        run(tmp_path, *urls, unzip=True, threads=3)
    assert str(caught.value).startswith(f'{urls[0]}: HTTP 404')
    assert f'; and {urls[2]}: HTTP 404' in str(caught.value)
    assert (tmp_path / 'd.zip').exists() and not (tmp_path / 'd').exists()


def test_files_come_side_by_side(server, tmp_path):
    together = threading.Barrier(3, timeout=10)

    class Meeting:
        """Lets the answers go on only when all three are under way."""

        def wait(self, timeout):
            together.wait()

    body = make_zip({'a': bytes(10)})
    urls = [server.serve(f'/{name}.zip', body, cuts=[len(body)], stall=Meeting()) for name in 'abc']
    run(tmp_path, *urls, threads=3)
    assert sorted(visible(tmp_path)) == ['a.zip', 'b.zip', 'c.zip']


def test_checksums(server, tmp_path):
    body = make_zip(CONTENT)
    good, bad = hashlib.sha256(body).hexdigest(), '0' * 64
    url = server.serve('/a.zip', body)
    with pytest.raises(DataError, match=f'wrong checksum, sha256 {good} instead of {bad}'):
        run(tmp_path, url, sha256=[bad])
    assert os.listdir(tmp_path) == []
    run(tmp_path, url, sha256=[good.upper()], unzip=True)
    requests = len(server.requests)
    run(tmp_path, url, sha256=[good], unzip=True)
    assert len(server.requests) == requests
    with pytest.raises(DataError, match='wrong checksum'):
        run(tmp_path, url, sha256=[bad], unzip=True)


def test_delete_keeps_what_was_not_unpacked(server, tmp_path):
    url = server.serve('/a.zip', make_zip({'good': b'', '../evil': b'evil'}))
    with pytest.raises(DataError, match=f'^{url}: .*parent folder'):
        run(tmp_path / 'in', url, unzip=True, delete=True)
    assert list(visible(tmp_path / 'in')) == ['a.zip']
    assert os.listdir(tmp_path) == ['in']
    assert not marker(tmp_path / 'in').exists()


def test_other_files_are_not_replaced_unless_asked(server, tmp_path):
    (tmp_path / 'labels.json').write_text('mine')
    url = server.serve('/a.zip', make_zip(CONTENT))
    with pytest.raises(DataError, match=r'labels\.json: exists and differs.*--overwrite'):
        run(tmp_path, url, unzip=True)
    assert (tmp_path / 'labels.json').read_text() == 'mine' and not (tmp_path / 'images').exists()
    run(tmp_path, url, unzip=True, overwrite=True)
    assert (tmp_path / 'labels.json').read_text() == '{}'


@pytest.mark.parametrize('layer', ['balloon/', '', 'another_name/'])
def test_every_balloon_archive_gives_one_layout(server, tmp_path, layer):
    content = {name.replace('balloon/', layer, 1): data for name, data in BALLOON.items()}
    url = server.serve('/balloon_dataset.zip', make_zip(content))
    run(tmp_path, url, dataset_name='balloon', unzip=True, delete=True)
    found = visible(tmp_path)
    assert len(found) == 61 + 13 + 2
    assert {name.split('/')[0] for name in found} == {'train', 'val'}
    run(tmp_path, url, dataset_name='balloon', unzip=True)
    assert len(server.requests) == 1


def test_a_balloon_set_unpacked_with_its_top_folder_counts_as_none(server, tmp_path):
    url = server.serve('/balloon_dataset.zip', make_zip(BALLOON))
    run(tmp_path, url, unzip=True)
    assert not (tmp_path / 'train').exists()
    run(tmp_path, url, dataset_name='balloon', unzip=True)
    assert (tmp_path / 'train/0.jpg').exists()


def test_two_balloon_archives(server, tmp_path):
    urls = []
    for split in ('train', 'val'):
        prefix = f'balloon/{split}/'
        part = {name[8:]: data for name, data in BALLOON.items() if name.startswith(prefix)}
        urls.append(server.serve(f'/{split}.zip', make_zip(part)))
    run(tmp_path, *urls, dataset_name='balloon', unzip=True, delete=True)
    assert len(visible(tmp_path)) == 61 + 13 + 2


def test_an_incomplete_balloon_set_is_refused(server, tmp_path):
    content = {name: data for name, data in BALLOON.items() if name != 'balloon/val/7.jpg'}
    url = server.serve('/balloon_dataset.zip', make_zip(content))
    for _ in range(2):
        with pytest.raises(DataError, match=r'incomplete \(val/\*\.jpg: 12 of 13\)'):
            run(tmp_path, url, dataset_name='balloon', unzip=True, delete=True)
        assert list(visible(tmp_path)) == ['balloon_dataset.zip']


def test_a_second_run_on_the_same_file_is_refused(server, tmp_path):
    url = server.serve('/a.zip', make_zip(CONTENT))
    with only_run(tmp_path / 'a.zip'), pytest.raises(DataError, match='another run'):
        run(tmp_path, url)
    run(tmp_path, url)
    assert sorted(os.listdir(tmp_path)) == ['a.zip']


def test_runs_at_the_same_time_leave_one_whole_file(server, tmp_path):
    body = make_zip({'a': os.urandom(1 << 20)})
    url = server.serve('/a.zip', body)
    errors = []

    def one() -> None:
        try:
            run(tmp_path, url)
        except DataError as error:
            errors.append(str(error))

    crew = [threading.Thread(target=one) for _ in range(8)]
    for worker in crew:
        worker.start()
    for worker in crew:
        worker.join()
    assert (tmp_path / 'a.zip').read_bytes() == body
    assert os.listdir(tmp_path) == ['a.zip']
    assert len(errors) < 8 and all('another run' in error for error in errors)


def test_other_files_than_archives(server, tmp_path):
    url = server.serve('/weights.bin', b'12345')
    run(tmp_path, url)
    assert (tmp_path / 'weights.bin').read_bytes() == b'12345'
    with pytest.raises(DataError, match='no zip or tar archive: 5 bytes'):
        run(tmp_path / 'else', url, unzip=True)


def test_a_save_dir_that_cannot_be(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match='--save-dir'):
        run(tmp_path / 'file/deep', 'http://127.0.0.1:1/a.zip')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(dataset_name='coco'), 'unknown data set .* coco2017, coco2014'),
        (dict(delete=True), '--unzip'),
        (dict(threads=0), 'at least one'),
        (dict(url=['http://h/a.zip'], sha256=['a', 'b']), '2 checksums for 1 files'),
        (dict(url=['http://h/a.zip'], sha256=['a']), 'hexadecimal'),
        (dict(url=['http://h/a.zip', 'http://g/a.zip']), "named 'a.zip'"),
        (dict(url=['ftp://h/a.zip']), 'http'),
        (dict(url=['']), 'names neither'),
        (dict(url=['a\0.zip']), 'names neither'),
    ],
)
def test_impossible_options(options, words):
    with pytest.raises(ConfigError, match=words):
        make_plan(**options)


def test_default_folders():
    assert make_plan().save_dir == Path('data/coco')
    assert len(make_plan().jobs) == len(sources.DATA_SETS['coco2017'].sources)
    assert make_plan('voc2007').save_dir == Path('data/voc2007')
    assert make_plan('balloon', 'else').save_dir == Path('else')
    assert make_plan(url=['http://h/my.tar.gz']).save_dir == Path('data/my')


def test_importing_and_planning_contact_nobody(monkeypatch):
    import socket

    def refuse(*arguments, **options):
        raise AssertionError('the network was used')

    monkeypatch.setattr(socket, 'socket', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    for name in sources.DATA_SETS:
        make_plan(name, unzip=True)
