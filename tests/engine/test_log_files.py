"""A log that cannot be written ends with one line, not with a traceback for each."""

import errno
import logging

from mmyolo_lite.engine.log_files import guard_log_files


class FullDisk:
    """A stream onto a full disk."""

    def write(self, text: str) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    flush = close = lambda self: self.write('')


def test_a_full_disk_ends_the_log(tmp_path, capsys):
    logger = logging.Logger('full')
    handler = logging.FileHandler(tmp_path / 'run.log')
    logger.addHandler(handler)
    guard_log_files(logger)
    handler.stream.close()
    handler.stream = FullDisk()
    logger.info('one')
    logger.info('two')
    text = capsys.readouterr().err
    assert text.count('\n') == 1 and 'Traceback' not in text
    assert 'run.log' in text and 'No space left on device' in text
