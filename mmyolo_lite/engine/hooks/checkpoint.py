"""Saving checkpoints so that at any instant the work dir holds one to resume from."""

from collections import deque
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.runner import Runner

from mmyolo_lite.datasets.file_io import write_text
from mmyolo_lite.registry import HOOKS

LAST = 'last_checkpoint'


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """mmengine's hook, with its arguments. Old checkpoints go when the new one is written, where
    mmengine's ``max_keep_ckpts`` removes them before.
    """

    max_keep_ckpts: int
    best_ckpt_path: str | None
    best_ckpt_path_dict: dict[str, str | None]
    keep_ckpt_ids: deque[int]

    def before_train(self, runner: Runner) -> None:
        """Read from a resumed run which checkpoints there are."""
        super().before_train(runner)
        if self.max_keep_ckpts > 0:  # without its limit of length, which would forget one
            self.keep_ckpt_ids = deque(self.keep_ckpt_ids)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        before = self._best()
        # what mmengine does not know of, it does not remove
        self._set_best(dict.fromkeys(before))
        super()._save_best_checkpoint(runner, metrics)
        after = self._best()
        for name, old in before.items():
            new = after[name]
            is_replaced = old and new and old != new
            if is_replaced and is_main_process() and self.file_backend.isfile(old):
                self.file_backend.remove(old)
        self._set_best({name: after[name] or old for name, old in before.items()})

    def _best(self) -> dict[str, str | None]:
        """Return the best checkpoint by the name of its score; of a single score by ''."""
        if hasattr(self, 'best_ckpt_path'):
            return {'': self.best_ckpt_path}
        return dict(getattr(self, 'best_ckpt_path_dict', {}))

    def _set_best(self, paths: dict[str, str | None]) -> None:
        if hasattr(self, 'best_ckpt_path'):
            self.best_ckpt_path = paths['']
        elif paths:
            self.best_ckpt_path_dict = paths

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        keep = self.max_keep_ckpts
        if keep > 0:
            self.max_keep_ckpts = keep + 1
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = keep
        if is_main_process():
            # once more, whole: mmengine empties the file before it writes
            write_text(self.last_ckpt, Path(runner.work_dir, LAST))
        while 0 < keep < len(self.keep_ckpt_ids):
            old = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            path = self.file_backend.join_path(self.out_dir, old)
            if is_main_process() and self.file_backend.isfile(path):
                self.file_backend.remove(path)
