"""Tests of backends that fail."""

import pytest
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend, LocalVisBackend

from mmyolo_lite.errors import ConfigError, DependencyError
from mmyolo_lite.visualization.guarded_backend import GuardedVisBackend, guard_backends
from mmyolo_lite.visualization.vis_backends import WandbVisBackend, check_packages


class Flaky(BaseVisBackend):
    """Fails from a given call on."""

    def __init__(self, fails_from: int, error: type[Exception] = ConnectionResetError) -> None:
        self.calls, self.fails_from, self.error = 0, fails_from, error
        self.was_abandoned = False

    @property
    def experiment(self):
        return self

    def _init_env(self):
        pass

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        self.calls += 1
        if self.calls >= self.fails_from:
            raise self.error('connection\nlost')

    def abandon(self):
        self.was_abandoned = True


def test_a_backend_that_fails_in_mid_run_is_switched_off_for_good():
    flaky = Flaky(fails_from=2)
    guarded = GuardedVisBackend(flaky, 'Flaky')
    for step in range(5):
        guarded.add_scalars({'loss': 1.0}, step)
    assert flaky.calls == 2 and guarded.is_off and flaky.was_abandoned


def test_a_backend_that_does_not_start_is_an_error_in_one_line():
    with pytest.raises(ConfigError, match='Flaky does not start: ConnectionResetError') as caught:
        GuardedVisBackend(Flaky(fails_from=1), 'Flaky').add_scalars({})
    assert '\n' not in str(caught.value)


def test_errors_for_the_user_pass_as_they_are():
    with pytest.raises(DependencyError):
        GuardedVisBackend(Flaky(1, DependencyError), 'Flaky').add_scalars({})


def test_all_backends_of_a_visualizer_are_guarded_once(tmp_path):
    visualizer = Visualizer(
        vis_backends=[dict(type='LocalVisBackend'), dict(type='mmyolo_lite.WandbVisBackend')],
        save_dir=str(tmp_path),
    )
    for _ in range(2):
        guard_backends(visualizer, resumes=True)
    guards = [visualizer.get_backend(name) for name in ('LocalVisBackend', 'WandbVisBackend')]
    assert all(isinstance(guard, GuardedVisBackend) for guard in guards)
    assert isinstance(guards[1].backend, WandbVisBackend) and guards[1].backend.resumes


def test_missing_packages_are_named_with_the_command_that_installs_them():
    check_packages(['LocalVisBackend', 'SomebodysVisBackend'])
    with pytest.raises(DependencyError, match='pip install neptune'):
        check_packages(['LocalVisBackend', 'NeptuneVisBackend'])


def test_half_lines_of_a_full_disk_are_cut_off(tmp_path):
    backend = LocalVisBackend(str(tmp_path))
    guarded = GuardedVisBackend(backend, 'LocalVisBackend')
    guarded.add_scalars({'loss': 1.0}, step=1)
    path = tmp_path / 'scalars.json'
    whole = path.read_bytes()

    def fill(*args, **kwargs):
        path.write_bytes(whole + b'{"loss": 0.')
        raise OSError(28, 'No space left on device')

    backend.add_scalars = fill
    guarded.add_scalars({'loss': 2.0}, step=2)
    assert guarded.is_off and path.read_bytes() == whole
