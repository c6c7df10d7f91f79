"""One process at a time works on a file, and a dead one holds nobody up."""

import os
import threading

import pytest

from mmyolo_lite.datasets.download.locks import only_run
from mmyolo_lite.errors import DataError


def test_one_at_a_time_and_nothing_left(tmp_path):
    path = tmp_path / 'a.zip'
    for _ in range(2):
        with only_run(path):
            with only_run(tmp_path / 'b.zip'):
                pass
            with pytest.raises(DataError, match='another run'), only_run(path):
                pass
            assert os.listdir(tmp_path) == ['.a.zip.lock']
        assert os.listdir(tmp_path) == []


def test_the_file_of_a_killed_run_locks_nothing(tmp_path):
    (tmp_path / '.a.zip.lock').touch()
    with only_run(tmp_path / 'a.zip'):
        pass
    assert os.listdir(tmp_path) == []


def test_many_threads_never_hold_it_together(tmp_path):
    inside, worst = [], []

    def work() -> None:
        for _ in range(100):
            try:
                with only_run(tmp_path / 'a.zip'):
                    inside.append(1)
                    worst.append(len(inside))
                    inside.pop()
            except DataError:
                pass

    crew = [threading.Thread(target=work) for _ in range(4)]
    for worker in crew:
        worker.start()
    for worker in crew:
        worker.join()
    assert set(worst) == {1}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match='cannot be made'), only_run(tmp_path / 'none/a.zip'):
        pass
