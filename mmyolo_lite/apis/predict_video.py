"""Predicting videos and cameras frame by frame."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
from tqdm import tqdm

from mmyolo_lite.apis.browse import require_window
from mmyolo_lite.apis.media import Image
from mmyolo_lite.apis.predict_files import shows_end
from mmyolo_lite.apis.predictor import Predictor
from mmyolo_lite.compat import cv2_logging
from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.whole_files import check_out_dir, whole_file

# the decoders speak to stderr about every damaged packet; what matters is said here
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
FOURCC = {'.mp4': 'mp4v', '.avi': 'MJPG', '.mov': 'mp4v', '.mkv': 'mp4v'}
DEFAULT_FPS = 25.0
MOST_FPS = 1000.0


class Video:
    """Frames of a video file or a camera.

    Args:
        source: path, or the number of a camera.

    Raises:
        DataError: it cannot be opened.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.is_camera = source.isdecimal() and len(source) < 4 and not Path(source).exists()
        if not self.is_camera and not Path(source).is_file():
            what = 'a folder' if Path(source).is_dir() else 'no such file'
            raise DataError(f'{source}: {what}; give a video, or the number of a camera')
        with _quiet_opencv():
            self.capture = cv2.VideoCapture(int(source) if self.is_camera else source)
        if not self.capture.isOpened():
            what = f'camera {source}' if self.is_camera else f'{source}: no video that'
            raise DataError(f'{what} can{"not" if self.is_camera else ""} be opened')

    @property
    def fps(self) -> float:
        """Frames a second; 25 where the file does not say."""
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        return fps if 0 < fps < MOST_FPS else DEFAULT_FPS

    @property
    def stated_frames(self) -> int | None:
        """The number of frames that the file states; None for a camera or an unlikely number."""
        count = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if not self.is_camera and 0 < count < 1e9 else None

    def frames(self) -> Iterator[Image]:
        """Yield frames (H, W, 3) uint8 BGR as they are asked for, to the end of the video."""
        with _quiet_opencv():
            while True:
                done, frame = self.capture.read()
                if not done:
                    return
                yield frame  # type: ignore[misc]

    def close(self) -> None:
        """Free file or camera."""
        self.capture.release()


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's own lines about what it tried off stderr."""
    level = cv2_logging.set_log_level(cv2_logging.SILENT)
    try:
        yield
    finally:
        cv2_logging.set_log_level(level)


class VideoFile:
    """A video that is written frame by frame; its size is that of the first frame.

    Args:
        path: with a suffix of :data:`FOURCC`.
        fps: frames a second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._writer: cv2.VideoWriter | None = None

    def write(self, frame: Image) -> None:
        """Add a frame (H, W, 3) BGR.

        Raises:
            DataError: OpenCV cannot write such a file.
        """
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*FOURCC[self.path.suffix.lower()])
            size_wh = (frame.shape[1], frame.shape[0])
            with _quiet_opencv():
                self._writer = cv2.VideoWriter(str(self.path), code, self.fps, size_wh)
            if not self._writer.isOpened():
                raise DataError(f'OpenCV cannot write a video of {size_wh[0]} x {size_wh[1]} here')
        self._writer.write(frame)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


@dataclass(frozen=True)
class VideoResults:
    """What is made of a video.

    Attributes:
        out: the video to write, or None.
        show: show frames in a window; q or Esc ends.
        wait_seconds: that a frame stays in the window, more than 0.
    """

    out: Path | None = None
    show: bool = False
    wait_seconds: float = 0.001

    def check(self, source: str) -> None:
        """Refuse before the work starts what would fail behind it.

        Raises:
            ConfigError: nothing is to be made, or no window can be opened.
            DataError: the video cannot be written.
        """
        if self.out is None and not self.show:
            raise ConfigError('Nothing is to be made: give --out FILE.mp4, or --show, or both.')
        require_window(self.show)
        if self.out is None:
            return
        if self.out.suffix.lower() not in FOURCC:
            raise DataError(f'{self.out}: videos are written as {", ".join(FOURCC)}')
        if self.out.is_dir():
            raise DataError(f'{self.out}: is a folder; name a file')
        if self.out.exists() and os.path.realpath(self.out) == os.path.realpath(source):
            raise DataError(f'{self.out} is the video itself: choose another --out')
        check_out_dir(self.out.parent)


def predict_video(video: Video, predictor: Predictor, results: VideoResults) -> int:
    """Predict each frame of a video; write a video with the objects, show it, or both.

    The file appears under its name when it is complete. Ctrl-C ends the recording of a camera, and
    leaves nothing of the copy of a file.

    Returns:
        The number of frames.

    Raises:
        DataError: the video has no frame, or the other cannot be written.
    """
    if results.out is None:
        return _run(video, predictor, results, None)
    with whole_file(results.out) as part:
        writer = VideoFile(part, video.fps)
        try:
            count = _run(video, predictor, results, writer)
        finally:
            writer.close()
    print(f'{count} frames in {results.out}')
    return count


def _run(
    video: Video, predictor: Predictor, results: VideoResults, writer: VideoFile | None
) -> int:
    count, objects = 0, 0
    stops = KeyboardInterrupt if video.is_camera else ()
    expected = video.stated_frames
    try:
        with tqdm(total=expected, disable=None, unit=' frames') as bar:
            for found in predictor(video.frames()):
                picture = found.draw()
                count, objects = count + 1, objects + len(found)
                if writer is not None:
                    writer.write(picture)
                bar.update()
                if results.show and shows_end(picture, max(results.wait_seconds, 0.001)):
                    break
    except stops:
        pass
    finally:
        video.close()
        if results.show:
            cv2.destroyAllWindows()
    if not count:
        raise DataError(f'{video.source}: no frame could be read')
    if expected is not None and count < expected - 1 and not results.show:
        print(
            f'warning: {video.source} ends after {count} of the {expected} frames that it states',
            file=sys.stderr,
        )
    print(f'{objects} objects in {count} frames')
    return count
