"""Predicting files from a command line: where results go, what is shown, what could not be read."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
from tqdm import tqdm

from mmyolo_lite.apis.browse import require_window
from mmyolo_lite.apis.label_files import CocoEntries
from mmyolo_lite.apis.media import Image, Source, sources
from mmyolo_lite.apis.prediction import Prediction
from mmyolo_lite.apis.predictor import Predictor
from mmyolo_lite.apis.tiles import TileSettings, merge_tiles, predict_tiles
from mmyolo_lite.datasets.file_io import refuse_existing, write_json
from mmyolo_lite.datasets.transforms.loading import UnreadableImageError
from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.visualization.picture_files import encode_image
from mmyolo_lite.whole_files import check_out_dir, write_bytes

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
"""Formats that pictures keep; those of others become JPEG."""
WINDOW_SIDE = 1200
"""Longest side of what is shown in a window, in pixels."""
END_KEYS = (ord('q'), 27)
MOST_NAMED = 3
"""Annotation files that are named where they would be replaced."""


@dataclass(frozen=True)
class Results:
    """What is made of predictions.

    Attributes:
        out_dir: gets pictures and labelme files, in sub-folders as the images are.
        draw: write pictures.
        labelme: write a labelme file for each image.
        coco_file: write all predictions to this COCO data set; None for none.
        show: show pictures in a window; q or Esc ends.
        wait_seconds: that a picture stays in the window; 0 waits for a key.
        overwrite: labelme files and the COCO data set may replace others, which may be made by
            hand; pictures always do.
    """

    out_dir: Path = Path('output')
    draw: bool = True
    labelme: bool = False
    coco_file: Path | None = None
    show: bool = False
    wait_seconds: float = 0.0
    overwrite: bool = False

    def check(self, images: Sequence[Source] = ()) -> None:
        """Refuse before the work starts what would fail behind it.

        Args:
            images: that are to be predicted.

        Raises:
            ConfigError: nothing is to be made, or no window can be opened.
            DataError: files cannot be written, or annotations would be replaced.
        """
        if not (self.draw or self.labelme or self.coco_file or self.show):
            raise ConfigError('Nothing is to be made: leave out --no-draw, or add --to-labelme.')
        require_window(self.show)
        if self.draw or self.labelme:
            check_out_dir(self.out_dir)
        if self.coco_file is not None:
            if self.coco_file.suffix != '.json' or self.coco_file.is_dir():
                raise DataError(f'{self.coco_file}: name a file *.json for the COCO data set')
            check_out_dir(self.coco_file.parent)
        existing = filter(os.path.lexists, self._annotation_files(images))
        refuse_existing(islice(existing, MOST_NAMED), self.overwrite)

    def _annotation_files(self, images: Sequence[Source]) -> Iterator[Path]:
        """Yield the files of annotations that are to be written."""
        if self.coco_file is not None:
            yield self.coco_file
        names: set[str] = set()
        for source in images if self.labelme else ():
            yield self.out_dir / _new_name(source.name, '.json', names)


class Failures:
    """Images that could not be read: named on stderr as they come, and in one sentence at the end.

    An instance is what :class:`Predictor` takes as ``on_error``.

    Args:
        total: number of images; the one of a single image is the sentence at the end.
    """

    def __init__(self, total: int) -> None:
        self.total, self.count, self.last = total, 0, ''

    def __call__(self, error: UnreadableImageError) -> None:
        """Name an image that could not be read."""
        self.count += 1
        self.last = str(error)
        if self.total > 1:
            tqdm.write(f'warning: {error}', file=sys.stderr)

    def raise_if_any(self, ended: bool = False) -> None:
        """Raise DataError if there were failures; `ended` says that the user ended the work."""
        if self.count and self.total == 1:
            raise DataError(self.last)
        if self.count:
            rest = 'the others are done' if self.count < self.total else 'there are no others'
            if ended:
                rest = 'the work was ended before all others were done'
            raise DataError(f'{self.count} of {self.total} images could not be read; {rest}')


class Writer:
    """Makes of each prediction what is wanted, as it comes.

    Args:
        results: what.
        class_names: of the model.
    """

    def __init__(self, results: Results, class_names: Sequence[str]) -> None:
        self.results = results
        self.coco = CocoEntries(class_names) if results.coco_file else None
        self._names: set[str] = set()

    def write(self, prediction: Prediction) -> bool:
        """Write, show and collect one prediction; False if the user has seen enough.

        Raises:
            DataError: a file cannot be written, or would replace the image itself.
        """
        results = self.results
        if results.draw or results.show:
            picture = prediction.draw()
        if results.draw:
            path = self._path(prediction, picture_suffix(prediction.name))
            write_bytes(encode_image(picture, path), path)
        if results.labelme:
            path = self._path(prediction, '.json')
            write_json(prediction.to_labelme(path.parent), path)
        if self.coco is not None:
            self.coco.add(prediction)
        return not (results.show and shows_end(picture, results.wait_seconds))

    def finish(self) -> None:
        """Write what all images share."""
        if self.coco is not None and self.results.coco_file is not None:
            write_json(self.coco.content(), self.results.coco_file)

    def _path(self, prediction: Prediction, suffix: str) -> Path:
        path = self.results.out_dir / _new_name(prediction.name, suffix, self._names)
        if (
            prediction.path
            and path.exists()
            and os.path.realpath(prediction.path) == (os.path.realpath(path))
        ):
            raise DataError(
                f'{path} is the image itself, which the picture would replace: choose another '
                '--out-dir'
            )
        return path


def _new_name(image: str, suffix: str, names: set[str]) -> str:
    """Return the name of a file of an image, and add it to the names; ``a.jpg`` beside ``a.png``
    keep their suffixes.
    """
    name = os.path.splitext(image)[0] + suffix
    if name in names:
        name = image + suffix
    names.add(name)
    return name


def picture_suffix(name: str) -> str:
    """Return the suffix of the picture of an image."""
    suffix = Path(name).suffix
    return suffix if suffix.lower() in PICTURE_SUFFIXES else '.jpg'


def shows_end(picture: Image, seconds: float) -> bool:
    """Show a picture in a window, and say whether the user pressed q or Esc.

    Args:
        picture: (H, W, 3) BGR.
        seconds: to wait for a key; 0 waits for one.
    """
    scale = min(WINDOW_SIDE / max(picture.shape[:2]), 1)
    cv2.imshow('predictions', cv2.resize(picture, None, fx=scale, fy=scale))
    return cv2.waitKey(int(seconds * 1000)) & 0xFF in END_KEYS


def images_of(given: str, out_dir: Path) -> list[Source]:
    """Return the images of a command line's input, without those that earlier runs wrote.

    Raises:
        DataError: there is none.
    """
    found = list(sources(given))
    real_out = os.path.realpath(out_dir)
    if os.path.isdir(given) and os.path.realpath(given) != real_out:
        prefix = os.path.join(real_out, '')
        found = [one for one in found if not os.path.realpath(one.path).startswith(prefix)]
        if not found:
            raise DataError(f'{given}: no image in this folder but those in {out_dir}')
    return found


def predict_images(images: Sequence[Source], predictor: Predictor, results: Results) -> int:
    """Predict images, and write or show what is wanted; return the number of objects.

    Raises:
        DataError: some images could not be read, after all others are done.
    """
    failures = Failures(len(images))
    found = predictor(images, on_error=failures)
    return _deliver(found, images, predictor, results, failures)


def predict_large_images(
    images: Sequence[Source],
    predictor: Predictor,
    settings: TileSettings,
    results: Results,
    debug: bool = False,
) -> int:
    """Predict images tile by tile, and write or show what is wanted; return the number of objects.

    Args:
        images: files or URLs.
        predictor: of the tiles.
        settings: how to cut and merge.
        results: what is wanted.
        debug: write a picture of each tile too, to ``<stem>_tiles`` in the output folder.

    Raises:
        DataError: some images could not be read, after all others are done.
    """
    failures = Failures(len(images))

    def found() -> Iterator[Prediction]:
        for source in images:
            try:
                image = source.read(predictor.model.read)
            except UnreadableImageError as error:
                failures(error)
                continue
            tiles = predict_tiles(source, image, predictor, settings)
            if debug:
                folder = results.out_dir / f'{os.path.splitext(source.name)[0]}_tiles'
                tiles = _written_tiles(tiles, image, folder)
            size_hw = (image.shape[0], image.shape[1])
            merged = merge_tiles(tiles, size_hw, settings)
            yield merged.of_source(source.path, source.name, image)

    return _deliver(found(), images, predictor, results, failures)


def _written_tiles(
    tiles: Iterable[tuple[tuple[int, int, int, int], Prediction]], image: Image, folder: Path
) -> Iterator[tuple[tuple[int, int, int, int], Prediction]]:
    """Pass tiles on, and write the picture of each."""
    for (x1, y1, x2, y2), prediction in tiles:
        picture = prediction.draw(image[y1:y2, x1:x2])
        path = folder / f'{y1:05d}_{x1:05d}.jpg'
        write_bytes(encode_image(picture, path), path)
        yield (x1, y1, x2, y2), prediction


def _deliver(
    found: Iterator[Prediction],
    images: Sequence[Source],
    predictor: Predictor,
    results: Results,
    failures: Failures,
) -> int:
    writer, objects, count = Writer(results, predictor.class_names), 0, 0
    goes_on = True
    with tqdm(total=len(images), disable=None, unit=' images') as bar:
        for prediction in found:
            count, objects = count + 1, objects + len(prediction)
            goes_on = writer.write(prediction)
            bar.update()
            if not goes_on:
                break
    if count:
        writer.finish()
    if results.show:
        cv2.destroyAllWindows()
    places = [str(results.out_dir)] if results.draw or results.labelme else []
    places += [str(results.coco_file)] if results.coco_file else []
    if count:
        print(f'{objects} objects in {count} images{"".join(f"; {place}" for place in places)}')
    failures.raise_if_any(ended=not goes_on)
    return objects
