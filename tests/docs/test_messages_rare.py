"""Messages of what hardly happens: things that change underfoot, damaged files, other processes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmyolo_lite.apis import confusion, predict_video
from mmyolo_lite.apis.convert_weights_sources import read_source
from mmyolo_lite.compat.foreign_pickle import _Machine
from mmyolo_lite.datasets.download import fetch, unpack
from mmyolo_lite.datasets.download.archives import Member
from mmyolo_lite.deploy import export
from mmyolo_lite.engine import train_loop
from tests.datasets.download.hostile import make_zip
from tests.docs.raising import raises, written
from tests.docs.world import running_server


def saved(folder: Path, model: nn.Module) -> Path:
    torch.save({'model': model}, folder / 'a.pt')
    return folder / 'a.pt'


def test_modules_that_are_nested_without_end(tmp_path: Path) -> None:
    model: nn.Module = nn.Linear(1, 1)
    for _ in range(80):
        model = nn.Sequential(model)
    raises(('nested more than 40 deep', lambda f: read_source(saved(f, model))), tmp_path)


def test_strides_of_another_model(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    model.stride = torch.tensor([4.0, 8.0, 16.0])  # type: ignore[assignment]
    words = 'its strides are (4.0, 8.0, 16.0); those of P5 models'
    raises((words, lambda f: read_source(saved(f, model))), tmp_path)


def test_an_operation_of_pickles_that_weights_do_not_need(tmp_path: Path) -> None:
    raises(('the pickle operation EXT1', lambda _: _Machine().run('EXT1', 1)), tmp_path)


def test_a_confusion_matrix_of_several_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(confusion, '_read_pickle', lambda path: [])
    monkeypatch.setattr(confusion, 'build_datasets', lambda *_: [None, None])
    words = 'a confusion matrix needs one'
    raises((words, lambda f: confusion._of_pickle(f / 'r.pkl', {})), tmp_path)  # type: ignore


def test_a_video_without_a_frame(tmp_path: Path) -> None:
    video: Any = SimpleNamespace(
        source='a.mp4',
        stated_frames=None,
        is_camera=False,
        frames=lambda: iter(()),
        close=lambda: None,
    )
    predictor: Any = iter
    results = predict_video.VideoResults()
    words = 'a.mp4: no frame could be read'
    raises((words, lambda _: predict_video._run(video, predictor, results, None)), tmp_path)


def test_a_download_that_does_not_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.setattr(fetch, 'MAX_FILE_BYTES', 1000)
    written(tmp_path / 'served/a.bin', b'x' * 5000)
    settings = fetch.FetchSettings(pauses=())
    with running_server(tmp_path / 'served') as url:
        raises(
            (
                'more than 1000 bytes come',
                lambda f: fetch.fetch(f'{url}/a.bin', f / 'a.bin', settings=settings),
            ),
            tmp_path,
        )


def test_an_archive_that_changes(tmp_path: Path) -> None:
    archive = written(tmp_path / 'a.zip', make_zip({'a': b'new'}))
    before = [Member(('a',), 99, False)]
    raises(
        (
            'changed while it was read',
            lambda f: unpack._extract(archive, before, [('a',)], f / 'out', lambda _: None),
        ),
        tmp_path,
    )


def test_an_export_that_differs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        export, 'open_session', lambda *_, **__: lambda _: {'scores': np.ones(3, np.float32)}
    )
    work: Any = SimpleNamespace(
        example=torch.zeros(1),
        module=lambda _: (torch.zeros(3),),
        options=SimpleNamespace(half=False),
    )
    path = written(tmp_path / 'a.onnx')
    words = 'The exported file differs from PyTorch'
    raises((words, lambda _: export._comparison(work, path)), tmp_path)
    assert not path.exists()


def test_a_loss_of_another_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(train_loop, 'largest_of_processes', lambda _: True)
    loop: Any = SimpleNamespace(run_iter=lambda *_: None)
    step = train_loop.SteadyTrainLoop._step
    raises(('The loss of another process', lambda _: step(loop, 0, None)), tmp_path)
