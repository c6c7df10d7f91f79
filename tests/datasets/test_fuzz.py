"""Damaged annotation files end in one readable error or in whole output, whatever reads them.

Every test takes an equal share of :data:`EXAMPLES` mutated files. Hypothesis draws the same ones
each time; ``FUZZ_EXAMPLES`` sets another number, drawn anew.
"""

import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmyolo_lite.apis import analysis
from mmyolo_lite.apis.browse import JsonOptions, deliver, pictures_of_json
from mmyolo_lite.apis.cli import one_line
from mmyolo_lite.apis.datasets import box_sizes
from mmyolo_lite.datasets import YOLOv5CocoDataset
from mmyolo_lite.datasets.coco_checks import read_coco_json
from mmyolo_lite.datasets.converters.labelme import LabelmeOptions, convert_labelme
from mmyolo_lite.datasets.converters.split import SplitOptions, split_coco
from mmyolo_lite.datasets.converters.subset import SubsetOptions, extract_subcoco, sources_of
from mmyolo_lite.datasets.converters.to_yolo import ToYoloOptions, convert_to_yolo
from mmyolo_lite.datasets.converters.via import ViaOptions, convert_via_splits
from mmyolo_lite.datasets.converters.voc import VocOptions, convert_voc
from mmyolo_lite.datasets.converters.yolo import YoloOptions, convert_yolo, parse_line
from mmyolo_lite.datasets.doctor.fix import fix_set
from mmyolo_lite.datasets.doctor.kinds import KINDS, Severity
from mmyolo_lite.datasets.doctor.sets import CheckedSet, check_sets
from mmyolo_lite.datasets.transforms.load_annotations import LoadAnnotations
from mmyolo_lite.datasets.transforms.loading import LoadImageFromFile
from mmyolo_lite.errors import UserError
from tests.datasets import fuzz_sets
from tests.datasets.mutations import Files, damaged, save

EXAMPLES = 2040
NUM_TESTS = 15
SECONDS = 10
"""More than any file of a few hundred bytes may take, on a loaded machine too."""

_asked = os.environ.get('FUZZ_EXAMPLES')
fuzz = settings(
    max_examples=int(_asked or EXAMPLES) // NUM_TESTS,
    deadline=timedelta(seconds=SECONDS),
    derandomize=not _asked,
    database=None,
    suppress_health_check=list(HealthCheck),
)

Run = Callable[[Path, Path], Any]
"""Reads files below the first folder and writes below the second."""


@pytest.fixture(scope='module')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three pictures of 8 x 8 pixels."""
    folder = tmp_path_factory.mktemp('pictures')
    for number, name in enumerate(fuzz_sets.IMAGES):
        pixels = np.full((8, 8, 3), 40 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def try_out(files: Files, images: dict[str, str], pictures: Path, run: Run) -> list[Path]:
    """Run on a data set in a folder of its own, and look at what is left there.

    Args:
        files: annotation files.
        images: pictures by relative path, as names in `pictures`.
        pictures: their folder.
        run: what is tried.

    Returns:
        The written files, already deleted; none after an error.
    """
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name, 'in'), Path(name, 'out')
        save(files, source)
        for place, picture in images.items():
            (source / place).parent.mkdir(parents=True, exist_ok=True)
            os.link(pictures / picture, source / place)
        before = tree(source)
        try:
            run(source, out)
        except UserError as error:
            assert one_line(error).encode(errors='backslashreplace')
            assert not [path for path in tree(out) if not path.is_dir()], 'half-written output'
            assert tree(source) == before, 'written among the input'
            return []
        written = tree(out)
        assert not [path for path in written if '.part' in path.name]
        assert tree(source) == before, 'written among the input'
        for path in written:
            if path.suffix == '.json':
                read_coco_json(str(path))
        return written


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob('*')) if folder.exists() else []


def test_via(pictures: Path) -> None:
    images = {'train/a.png': 'a.png', 'train/b.png': 'b.png', 'val/c.png': 'c.png'}

    @fuzz
    @given(damaged(fuzz_sets.via()), st.booleans(), st.sampled_from([None, 'kind', 'of']))
    def reads(files: Files, skip_errors: bool, class_attr: str | None) -> None:
        options = ViaOptions(class_attr=class_attr, skip_errors=skip_errors)

        def run(source: Path, out: Path) -> None:
            convert_via_splits(source, out_dir=out, options=options)

        written = try_out(files, images, pictures, run)
        assert len(written) in (0, 2)

    reads()


def test_labelme(pictures: Path) -> None:
    images = {f'img/{name}': name for name in fuzz_sets.IMAGES}

    @fuzz
    @given(damaged(fuzz_sets.labelme()), st.booleans(), st.booleans(), st.booleans())
    def reads(files: Files, skip_errors: bool, keep_empty: bool, has_classes: bool) -> None:
        options = LabelmeOptions(keep_empty=keep_empty, skip_errors=skip_errors)

        def run(source: Path, out: Path) -> None:
            class_file = source / 'classes.txt' if has_classes else None
            folders = source / 'img', source / 'labels'
            convert_labelme(*folders, out / 'all.json', class_file, options)

        written = try_out(files, images, pictures, run)
        assert len(written) in (0, 1 if has_classes else 2)

    reads()


def test_yolo(pictures: Path) -> None:
    images = {
        f'images/{"val" if name == "c.png" else "train"}/{name}': name for name in fuzz_sets.IMAGES
    }

    @fuzz
    @given(damaged(fuzz_sets.yolo()), st.booleans(), st.sampled_from([None, 'data.yaml']))
    def reads(files: Files, skip_errors: bool, names: str | None) -> None:
        options = YoloOptions(skip_errors=skip_errors)

        def run(source: Path, out: Path) -> None:
            convert_yolo(source, out, source / names if names else None, options)

        try_out(files, images, pictures, run)

    reads()


def test_voc(pictures: Path) -> None:
    images = {f'JPEGImages/{name}': name for name in fuzz_sets.IMAGES}

    @fuzz
    @given(damaged(fuzz_sets.voc()), st.booleans(), st.booleans(), st.booleans())
    def reads(files: Files, skip_errors: bool, masks: bool, has_classes: bool) -> None:
        options = VocOptions(masks=masks, skip_errors=skip_errors)

        def run(source: Path, out: Path) -> None:
            convert_voc(source, out, source / 'names.txt' if has_classes else None, options)

        try_out(files, images, pictures, run)

    reads()


def fuzz_coco(pictures: Path, run: Run, check: Callable[[list[Path]], None] | None = None) -> None:
    """Try a function on damaged COCO files ``coco.json`` beside their pictures."""
    images = {name: name for name in fuzz_sets.IMAGES}

    @fuzz
    @given(damaged({'coco.json': fuzz_sets.coco()}))
    def reads(files: Files) -> None:
        written = try_out(files, images, pictures, run)
        if check is not None and written:
            check(written)

    reads()


@pytest.mark.parametrize('boxes', [False, True])
def test_coco_to_yolo(pictures: Path, boxes: bool) -> None:
    def run(source: Path, out: Path) -> None:
        options = ToYoloOptions(boxes=boxes, skip_errors=boxes)
        convert_to_yolo([source / 'coco.json'], out, [source], options=options)
        labels = list(out.glob('labels/**/*.txt'))
        assert labels
        for path in labels:
            for line in path.read_text(encoding='utf-8').splitlines():
                parse_line(line, 'det' if boxes else 'seg')

    fuzz_coco(pictures, run)


@pytest.mark.parametrize('stratify', [False, True])
def test_coco_split(pictures: Path, stratify: bool) -> None:
    def run(source: Path, out: Path) -> None:
        options = SplitOptions(
            (0.5, 0.5), True, stratify=stratify, group_by='[ac]' if stratify else None
        )
        printable(split_coco(source / 'coco.json', out, options))

    fuzz_coco(pictures, run, lambda written: check_names(written, ['test.json', 'trainval.json']))


def test_extract_subcoco(pictures: Path) -> None:
    def run(source: Path, out: Path) -> None:
        sources = sources_of(
            source,
            train_json=str(source / 'coco.json'),
            val_json=str(source / 'coco.json'),
            train_img=str(source),
            val_img=str(source),
        )
        options = SubsetOptions(2, keep_empty=1, categories_used_only=True, link=True)
        printable(extract_subcoco(sources, out, options))

    fuzz_coco(pictures, run)


@pytest.mark.parametrize('with_images', [False, True])
def test_doctor(pictures: Path, with_images: bool) -> None:
    def run(source: Path, out: Path) -> None:
        one = CheckedSet(
            str(source / 'coco.json'), str(source), 'train', ('train',), ('cat',), (64, 64)
        )
        report = check_sets([one], with_images)
        printable(report.lines())
        report.to_json()
        fixed = fix_set(one, out / 'mended.json', with_images)
        printable(fixed.lines())
        again = check_sets([CheckedSet(fixed.path, str(source))], with_images)
        errors = [code for code in again.counts if KINDS[code].severity == Severity.ERROR]
        assert not errors, [again.cases(code)[0] for code in errors]
        assert fixed.report.worst < Severity.ERROR

    fuzz_coco(pictures, run)


def build(source: Path, **changes: Any) -> YOLOv5CocoDataset:
    arguments: dict[str, Any] = dict(
        ann_file=str(source / 'coco.json'),
        data_prefix=dict(img=f'{source}/'),
        metainfo=dict(classes=('cat', 'big dog')),
        pipeline=[LoadImageFromFile(), LoadAnnotations(with_bbox=True, with_mask=True)],
        filter_cfg=dict(filter_empty_gt=False, min_size=0),
        serialize_data=False,  # which would collect garbage each time
    )
    return YOLOv5CocoDataset(**{**arguments, **changes})


@pytest.mark.parametrize('test_mode', [False, True])
def test_dataset(pictures: Path, test_mode: bool) -> None:
    def run(source: Path, out: Path) -> None:
        dataset = build(source, test_mode=test_mode)
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            sample = dataset.pipeline({**info, 'dataset': dataset})
            assert np.isfinite(sample['gt_bboxes'].tensor.numpy()).all()

    fuzz_coco(pictures, run)


def test_analysis(pictures: Path) -> None:
    def run(source: Path, out: Path) -> None:
        dataset = build(source, lazy_init=True, pipeline=[])
        dataset.full_init()
        box_sizes([dataset])
        _, report = analysis._describe(dataset, (640, 640), None)
        printable(report.lines())

    fuzz_coco(pictures, run)


def test_browse(pictures: Path) -> None:
    def run(source: Path, out: Path) -> None:
        named = pictures_of_json(source / 'coco.json', source, JsonOptions(max_side=64))
        # every picture is a result of its own: those before an error stay
        deliver(named, source.with_name('pictures'), not_show=True, seconds=0)
        for path in source.with_name('pictures').iterdir():
            assert cv2.imread(str(path)) is not None

    fuzz_coco(pictures, run)


def printable(lines: list[str]) -> None:
    """Refuse lines that a terminal cannot show."""
    '\n'.join(lines).encode()


def check_names(written: list[Path], names: list[str]) -> None:
    assert [path.name for path in written] == names
