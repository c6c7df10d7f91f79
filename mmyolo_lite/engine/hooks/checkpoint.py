"""Saving checkpoints so that at any instant the work dir holds one to resume from."""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.runner import Runner

from mmyolo_lite.datasets.file_io import write_text
from mmyolo_lite.errors import CheckpointError, DataError
from mmyolo_lite.registry import HOOKS

LAST = 'last_checkpoint'
INTERRUPTED = 'interrupted.pth'
"""The checkpoint of a training that was stopped in the middle of an epoch; there until the next
one."""


def last_saved(work_dir: Path) -> Path | None:
    """Return the checkpoint that ``last_checkpoint`` names, without opening it; None without it."""
    return next(iter(files_named(work_dir, last_named(work_dir))), None)


def last_named(work_dir: Path) -> str:
    """Return what ``last_checkpoint`` says."""
    try:
        return (work_dir / LAST).read_text(encoding='utf-8').strip()
    except (OSError, ValueError):
        return ''


def files_named(work_dir: Path, named: str) -> list[Path]:
    """Return where a named checkpoint is; a work dir may be a copy of another, and its own file
    counts first.
    """
    paths = (work_dir / Path(named).name, Path(named)) if named else ()
    return [path for path in paths if path.is_file()][:1]


@contextmanager
def explained_writing(folder: str, work_dir: str) -> Iterator[None]:
    """Explain to users why a checkpoint cannot be written.

    Raises:
        CheckpointError: it cannot.
    """
    try:
        yield
    except (OSError, DataError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):  # weights that are not finite, say
            raise
        reason = getattr(cause, 'strerror', None) or str(cause or error)
        before = last_saved(Path(work_dir))
        resume = f'--resume goes on from {before}' if before else 'start again'
        raise CheckpointError(
            f'A checkpoint cannot be written to {folder}: {reason}. When there is space again, '
            f'{resume}.'
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes have left of checkpoints that they were writing."""
    for path in folder.glob('.*.part*'):
        pid = path.name.partition('.part')[0].rpartition('.')[2]
        if pid.isdigit() and path.is_file() and not _runs(int(pid)):
            with suppress(OSError):
                path.unlink()


def _runs(pid: int) -> bool:
    """Say whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        return True
    return True


def save_interrupted(runner: Runner) -> Path:
    """Save the state between two iterations; it is what ``--resume`` finds.

    Raises:
        CheckpointError: it cannot be written.
    """
    path = Path(runner.work_dir, INTERRUPTED)
    with explained_writing(runner.work_dir, runner.work_dir):
        runner.save_checkpoint(
            runner.work_dir,
            INTERRUPTED,
            save_param_scheduler=runner.param_schedulers is not None,
            meta={'epoch': runner.epoch, 'iter': runner.iter},
        )
        if is_main_process():
            write_text(str(path), Path(runner.work_dir, LAST))
    return path


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """mmengine's hook, with its arguments. Old checkpoints go when the new one is written, where
    mmengine's ``max_keep_ckpts`` removes them before.
    """

    max_keep_ckpts: int
    best_ckpt_path: str | None
    best_ckpt_path_dict: dict[str, str | None]
    keep_ckpt_ids: deque[int]
    last_ckpt: str | None
    saved_at: tuple[int, int] | None = None
    """Epochs and iterations of the checkpoint that was saved last."""

    def before_train(self, runner: Runner) -> None:
        """Read from a resumed run which checkpoints there are."""
        super().before_train(runner)
        if runner.param_schedulers is None:  # mmengine would warn at each checkpoint
            self.save_param_scheduler = False
        if self.max_keep_ckpts > 0:  # without its limit of length, which would forget one
            self.keep_ckpt_ids = deque(self.keep_ckpt_ids)
        if is_main_process():
            remove_leftovers(Path(runner.work_dir))
        # a better validation is saved in the checkpoint that a run was resumed from, too
        self.last_ckpt = self.last_ckpt or runner.message_hub.get_info('last_ckpt')
        # a work dir may be a copy of another, whose files are not ours to remove
        self._set_best(
            {
                name: path and self.file_backend.join_path(self.out_dir, Path(path).name)
                for name, path in self._best().items()
            }
        )

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        before = self._best()
        # what mmengine does not know of, it does not remove
        self._set_best(dict.fromkeys(before))
        with explained_writing(self.out_dir, runner.work_dir):
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
        # in the place of mmengine's, which empties last_checkpoint before it writes that
        if self.max_keep_ckpts > 0 and step not in list(self.keep_ckpt_ids)[-1:]:
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        with explained_writing(self.out_dir, runner.work_dir):
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
        self.saved_at = (meta.get('epoch', 0), meta.get('iter', 0))
        if is_main_process():
            with explained_writing(runner.work_dir, runner.work_dir):
                write_text(self.last_ckpt, Path(runner.work_dir, LAST))
            Path(runner.work_dir, INTERRUPTED).unlink(missing_ok=True)
        self._remove_old()

    def _remove_old(self) -> None:
        """Remove what is beyond ``max_keep_ckpts``."""
        while 0 < self.max_keep_ckpts < len(self.keep_ckpt_ids):
            old = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            path = self.file_backend.join_path(self.out_dir, old)
            if is_main_process() and self.file_backend.isfile(path):
                self.file_backend.remove(path)
