"""Reading files that may be anything."""

import os

import pytest

from mmyolo_lite.datasets.converters.files import read_lines
from mmyolo_lite.datasets.converters.voc_xml import read_voc
from mmyolo_lite.datasets.converters.yolo_layout import read_yaml
from mmyolo_lite.datasets.file_io import read_json
from mmyolo_lite.errors import DataError


@pytest.mark.parametrize('read', [read_json, read_lines, read_voc, read_yaml])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(DataError, match='no regular file'):
        read(tmp_path / 'pipe')


@pytest.mark.parametrize('end', [b'\n', b'\r\n', b'\r'])
def test_lines_end_as_on_any_system(tmp_path, end):
    (tmp_path / 'lines').write_bytes(b'\xef\xbb\xbf' + end.join([b' a b ', b'', b'c']))
    assert read_lines(tmp_path / 'lines') == ['a b', '', 'c']
