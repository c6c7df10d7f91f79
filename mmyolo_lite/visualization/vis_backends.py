"""Where curves and pictures of a run go: names, packages, and Weights & Biases as a backend."""

import contextlib
import importlib.util
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.logging import MessageHub
from mmengine.visualization import Visualizer
from mmengine.visualization.vis_backend import BaseVisBackend
from numpy.typing import NDArray

from mmyolo_lite.datasets.file_io import write_text
from mmyolo_lite.errors import DependencyError
from mmyolo_lite.registry import VISBACKENDS

SHORT_NAMES = {
    'local': 'LocalVisBackend',
    'tensorboard': 'TensorboardVisBackend',
    'wandb': 'WandbVisBackend',
}
_PACKAGES = {
    'TensorboardVisBackend': 'tensorboard',
    'WandbVisBackend': 'wandb',
    'MLflowVisBackend': 'mlflow',
    'ClearMLVisBackend': 'clearml',
    'NeptuneVisBackend': 'neptune',
    'DVCLiveVisBackend': 'dvclive',
    'AimVisBackend': 'aim',
}
RUN_ID = 'wandb_run.json'
"""File of the work dir that says which run of W&B a resumed training continues."""


def check_packages(kinds: Iterable[str]) -> None:
    """Check that what backends need is installed.

    Args:
        kinds: names of types of backends, without scope.

    Raises:
        DependencyError: a package is missing.
    """
    for kind in kinds:
        package = _PACKAGES.get(kind)
        if package is not None and importlib.util.find_spec(package) is None:
            raise DependencyError(
                f'{kind} needs the package {package}, which is not installed. Run '
                f'"pip install {package}", or take it out of visualizer.vis_backends (--vis).'
            )


def record_picture(visualizer: Visualizer, path: Path, step: int) -> None:
    """Hand a picture file to the backends that show pictures elsewhere, by the name of the file.

    The local backend would only copy it.

    Args:
        visualizer: of the run.
        path: of the picture.
        step: on the axis of the backends that have one.
    """
    backends = [found for kind in _PACKAGES if (found := visualizer.get_backend(kind)) is not None]
    image = cv2.imread(str(path)) if backends and path.is_file() else None
    if image is not None:
        for backend in backends:
            backend.add_image(path.stem, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), step)


@VISBACKENDS.register_module()
class WandbVisBackend(BaseVisBackend):
    """Curves and pictures in Weights & Biases, online or with ``WANDB_MODE=offline``.

    The x axis is the training iteration, for losses and scores alike, and a resumed training
    continues its run: the id is kept in ``wandb_run.json`` of the work dir.

    Args:
        save_dir: where W&B keeps its files.
        init_kwargs: arguments of ``wandb.init``, such as ``dict(project='fruit', name='first')``.
        define_metric_cfg: metrics and their summary, such as ``{'coco/segm_mAP': 'max'}``, or a
            list of dicts of arguments of ``define_metric``.
        commit: as in ``wandb.log``; None, as recommended, joins what belongs to one iteration.
        log_code_name: name under which the code is recorded; None records none.
        watch_kwargs: arguments of ``wandb.watch``.
    """

    def __init__(
        self,
        save_dir: str,
        init_kwargs: dict | None = None,
        define_metric_cfg: dict | Sequence[dict] | None = None,
        commit: bool | None = None,
        log_code_name: str | None = None,
        watch_kwargs: dict | None = None,
    ) -> None:
        super().__init__(save_dir)
        self.init_kwargs = dict(init_kwargs or {})
        self.define_metric_cfg = define_metric_cfg or {}
        self.commit = commit
        self.log_code_name = log_code_name
        self.watch_kwargs = watch_kwargs or {}
        self.resumes = False
        """Continue the run of the work dir."""
        self._run: Any = None

    def _init_env(self) -> None:
        """Start or continue a run."""
        check_packages([type(self).__name__])
        import wandb

        Path(self._save_dir).mkdir(parents=True, exist_ok=True)
        id_file = Path(self._save_dir).parents[1] / RUN_ID  # <work dir>/<timestamp>/vis_data
        known = _read_id(id_file) if self.resumes else None
        continued = {'id': known, 'resume': 'allow'} if known else {}
        self._run = wandb.init(**{'dir': self._save_dir, **continued, **self.init_kwargs})
        write_text(json.dumps({'id': self._run.id}), id_file)
        metrics = self.define_metric_cfg
        if isinstance(metrics, dict):
            metrics = [dict(name=name, summary=summary) for name, summary in metrics.items()]
        for metric in metrics:
            self._run.define_metric(**metric)

    @property
    def experiment(self) -> Any:
        """The run of W&B."""
        if self._run is None:
            self._init_env()
        return self._run

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Record the config; a resumed run may change its values."""
        self.experiment.config.update(config.to_dict(), allow_val_change=True)
        if self.log_code_name is not None:
            self.experiment.log_code(name=self.log_code_name)

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Watch gradients and weights of a model."""
        self.experiment.watch(model, **self.watch_kwargs)

    def add_image(self, name: str, image: NDArray[np.uint8], step: int = 0, **kwargs: Any) -> None:
        """Record an image (H, W, 3) uint8, RGB."""
        import wandb

        self._log({name: wandb.Image(image)})

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Record a value at the current iteration."""
        self._log({name: value})

    def add_scalars(
        self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Record several values at the current iteration."""
        self._log(scalar_dict)

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()

    def abandon(self) -> None:
        """Let go of a service that is gone, so that nothing waits for it at the end."""
        with contextlib.suppress(Exception):
            import wandb

            wandb.teardown()

    def _log(self, values: dict) -> None:
        # mmengine counts epochs for scores and iterations for losses; a run of W&B has one axis
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        self.experiment.log(values, step=int(iteration or 0) + 1, commit=self.commit)


def _read_id(path: Path) -> str | None:
    try:
        known = json.loads(path.read_text()).get('id')
    except (OSError, ValueError, AttributeError):
        return None
    return known if isinstance(known, str) and known else None
