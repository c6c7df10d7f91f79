"""Videos from the command line."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmyolo_lite.apis import Predictor
from mmyolo_lite.apis.predict_video import Video, VideoResults, predict_video
from mmyolo_lite.errors import DataError
from tests.demo.test_image_demo import assert_one_error

FRAMES, FPS = 12, 10.0


def make_video(path: Path, frames: int = FRAMES) -> Path:
    """Write a video of a moving square."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), FPS, (160, 120))
    for number in range(frames):
        frame = np.full((120, 160, 3), 90, dtype=np.uint8)
        frame[40:80, number * 5 : number * 5 + 40] = (30, 60, 220)
        writer.write(frame)
    writer.release()
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    frames, fps = [], capture.get(cv2.CAP_PROP_FPS)
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    return frames, fps


@pytest.fixture
def demo(toy, tools, tmp_path):
    def run(given, *options):
        common = ('--device', 'cpu', '--score-thr', '0.15')
        return tools.run(
            tmp_path, 'demo/video_demo.py', given, toy.config, toy.checkpoint, *common, *options
        )

    return run


@pytest.mark.parametrize('name', ['out/found.mp4', 'found.avi'])
def test_the_video_plays(name, demo, tmp_path):
    done = demo(make_video(tmp_path / 'in.mp4'), '--out', name, '--batch-size', '5').check()
    assert f'{FRAMES} frames in {name}' in done.out and done.err == ''
    frames, fps = read_video(tmp_path / name)
    before = read_video(tmp_path / 'in.mp4')[0]
    assert len(frames) == FRAMES and fps == pytest.approx(FPS)
    assert frames[0].shape == (120, 160, 3)
    assert np.abs(frames[0].astype(int) - before[0]).max() > 40, 'objects are drawn'
    assert not list(tmp_path.rglob('.*part*'))


class Interrupting(Predictor):
    """Is interrupted at the fourth frame."""

    def __call__(self, images, on_error=None):
        for number, found in enumerate(super().__call__(images, on_error)):
            if number == 3:
                raise KeyboardInterrupt
            yield found


def test_half_a_video_does_not_stay(toy, tmp_path):
    predictor = Interrupting(toy.config, toy.checkpoint, 'cpu', keep_images=True)
    out = tmp_path / 'found.mp4'
    out.write_text('of an earlier run')
    with pytest.raises(KeyboardInterrupt):
        predict_video(Video(str(make_video(tmp_path / 'in.mp4'))), predictor, VideoResults(out))
    assert out.read_text() == 'of an earlier run'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['found.mp4', 'in.mp4']


def test_ctrl_c_ends_the_recording_of_a_camera(toy, tmp_path):
    predictor = Interrupting(toy.config, toy.checkpoint, 'cpu', keep_images=True)
    video = Video(str(make_video(tmp_path / 'in.mp4')))
    video.is_camera = True
    assert predict_video(video, predictor, VideoResults(tmp_path / 'found.mp4')) == 3
    assert len(read_video(tmp_path / 'found.mp4')[0]) == 3


def test_a_cut_video_gives_what_it_has(demo, tmp_path):
    content = make_video(tmp_path / 'in.mp4', 40).read_bytes()
    (tmp_path / 'cut.mp4').write_bytes(content[: len(content) // 2])
    done = demo(tmp_path / 'cut.mp4', '--out', 'found.mp4')
    assert 'Traceback' not in done.err
    assert done.code == 0 or done.err.startswith('error: ')
    assert (tmp_path / 'found.mp4').exists() == (done.code == 0)


@pytest.mark.parametrize(
    ('given', 'options', 'words'),
    [
        ('no.mp4', ('--out', 'a.mp4'), ['no.mp4: no such file']),
        ('.', ('--out', 'a.mp4'), ['a folder']),
        ('text.mp4', ('--out', 'a.mp4'), ['text.mp4', 'can be opened']),
        ('in.mp4', (), ['Nothing is to be made']),
        ('in.mp4', ('--show',), ['no window can be opened']),
        ('in.mp4', ('--out', 'a.txt'), ['a.txt', '.mp4']),
        ('in.mp4', ('--out', 'in.mp4'), ['in.mp4 is the video itself']),
        ('in.mp4', ('--out', 'text.mp4/a.mp4'), ['cannot take the output']),
        ('99', ('--out', 'a.mp4'), ['camera 99 cannot be opened']),
    ],
)
def test_mistakes(given, options, words, demo, tmp_path):
    make_video(tmp_path / 'in.mp4', 2)
    (tmp_path / 'text.mp4').write_text('text')
    assert_one_error(demo(given, *options), *words)
    assert not (tmp_path / 'a.mp4').exists()


def test_frames_are_read_as_asked(tmp_path):
    video = Video(str(make_video(tmp_path / 'in.mp4')))
    assert video.fps == pytest.approx(FPS) and video.stated_frames == FRAMES
    assert len(list(video.frames())) == FRAMES
    video.close()
    with pytest.raises(DataError, match='no such file'):
        Video('1234')
