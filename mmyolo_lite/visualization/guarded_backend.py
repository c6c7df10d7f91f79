"""A visualization backend that may fail without ending the training that it watches."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend, LocalVisBackend

from mmyolo_lite.errors import ConfigError, UserError
from mmyolo_lite.visualization.vis_backends import WandbVisBackend


class GuardedVisBackend(BaseVisBackend):
    """Hand everything on to a backend, until that fails: then it is switched off with a warning.

    Failing at its very first call, before training starts, is an error instead: somebody who asked
    for curves wants to know now.

    Args:
        backend: what writes the curves.
        name: of it, in messages.
    """

    def __init__(self, backend: BaseVisBackend, name: str) -> None:
        self.backend = backend
        self.name = name
        self.is_off = False
        self._has_started = False

    @property
    def experiment(self) -> Any:
        """What the backend wraps: a TensorBoard writer, a W&B run."""
        return self.backend.experiment

    def _init_env(self) -> None:
        self.backend._init_env()

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Record a config."""
        self._guard(self.backend.add_config, config, **kwargs)

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Record the graph of a model."""
        self._guard(self.backend.add_graph, model, data_batch, **kwargs)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Record an image (H, W, 3) uint8, RGB."""
        self._guard(self.backend.add_image, name, image, step, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Record a value at a step."""
        self._guard(self.backend.add_scalar, name, value, step, **kwargs)

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Record several values at a step."""
        self._guard(self.backend.add_scalars, scalar_dict, step, file_path, **kwargs)

    def close(self) -> None:
        """Finish writing."""
        self._guard(self.backend.close)

    def _guard(self, call: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        if self.is_off:
            return
        try:
            call(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:  # whatever a network, a disk or a service comes up with
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:300]
            if not self._has_started:
                raise ConfigError(
                    f'The visualization backend {self.name} does not start: {reason}. Mend it, or '
                    'take it out of visualizer.vis_backends (--vis local does without it).'
                ) from error
            self._switch_off(reason)
        self._has_started = True

    def _switch_off(self, reason: str) -> None:
        self.is_off = True
        if isinstance(self.backend, LocalVisBackend):
            _cut_half_lines(Path(self.backend._save_dir))
        print_log(
            f'The visualization backend {self.name} failed and is switched off; training goes on '
            f'without it. {reason}',
            'current',
            logging.WARNING,
        )
        abandon = getattr(self.backend, 'abandon', None)
        if abandon is not None:
            abandon()


def _cut_half_lines(folder: Path) -> None:
    """Remove the half lines that a full disk leaves at the ends of logs."""
    for path in folder.glob('*.json'):
        with suppress(OSError):
            content = path.read_bytes()
            if not content.endswith(b'\n'):
                os.truncate(path, content.rfind(b'\n') + 1)


def guard_backends(visualizer: Visualizer, resumes: bool) -> None:
    """Guard all backends of a visualizer.

    Args:
        visualizer: changed in place.
        resumes: the run goes on with an earlier one, and so do curves that are kept by run.
    """
    backends = visualizer._vis_backends
    for name, backend in backends.items():
        if isinstance(backend, WandbVisBackend):
            backend.resumes = resumes
        if not isinstance(backend, GuardedVisBackend):
            backends[name] = GuardedVisBackend(backend, name)
