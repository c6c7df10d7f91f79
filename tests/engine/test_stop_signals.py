"""Signals wait for a safe point, and the second one does not."""

import os
import signal

import pytest

from mmyolo_lite.engine.stop_signals import StopSignals
from mmyolo_lite.errors import Interrupted

NUMBERS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize('number', NUMBERS)
def test_the_first_one_waits_and_the_second_one_does_not(number, capfd, tmp_path):
    before = [signal.getsignal(one) for one in NUMBERS]
    with StopSignals() as signals:
        signals.work_dir = tmp_path
        with signals.waiting():
            signal.raise_signal(number)
            assert signals.received == signals.agreed() == number
            assert 'stopping behind this iteration' in capfd.readouterr().err
            with pytest.raises(Interrupted, match='no checkpoint of it yet') as stop:
                signal.raise_signal(number)
    assert stop.value.exit_code == 128 + number
    assert [signal.getsignal(one) for one in NUMBERS] == before


def test_outside_of_waiting_the_first_one_leaves_and_names_the_checkpoint(tmp_path):
    (tmp_path / 'epoch_3.pth').touch()
    (tmp_path / 'last_checkpoint').write_text('work_dirs/x/epoch_3.pth')
    with StopSignals() as signals:
        signals.work_dir = tmp_path
        with pytest.raises(Interrupted, match=r'--resume goes on from .*epoch_3\.pth'):
            signal.raise_signal(signal.SIGTERM)


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert not signals.received
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 7), (signal.SIGTERM, -15)])
def test_child_processes_leave_ctrl_c_to_their_parent_and_obey_sigterm(number, status):
    with StopSignals():
        child = os.fork()
        if child == 0:
            signal.raise_signal(number)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status


def test_workers_that_end_by_the_same_signal_raise_nothing():
    """As PyTorch's handler would, in the middle of a step."""

    def raises(*_: object) -> None:
        raise RuntimeError('DataLoader worker (pid 1) is killed by signal: Terminated.')

    before = signal.signal(signal.SIGCHLD, raises)
    try:
        with StopSignals() as signals, signals.waiting():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGCHLD)
        assert signal.getsignal(signal.SIGCHLD) is raises
    finally:
        signal.signal(signal.SIGCHLD, before)
