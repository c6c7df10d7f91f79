"""Transforms of the data pipeline, one family a file."""

from mmyolo_lite.datasets.transforms.affine import YOLOv5RandomAffine
from mmyolo_lite.datasets.transforms.albu import Albu
from mmyolo_lite.datasets.transforms.color import YOLOv5HSVRandomAug
from mmyolo_lite.datasets.transforms.copy_paste import YOLOv5CopyPaste
from mmyolo_lite.datasets.transforms.formatting import PackDetInputs, RemoveDataElement
from mmyolo_lite.datasets.transforms.load_annotations import LoadAnnotations
from mmyolo_lite.datasets.transforms.loading import LoadImageFromFile
from mmyolo_lite.datasets.transforms.mixup import YOLOv5MixUp
from mmyolo_lite.datasets.transforms.mosaic import Mosaic
from mmyolo_lite.datasets.transforms.mosaic_affine import MosaicAffine
from mmyolo_lite.datasets.transforms.polygon2mask import Polygon2Mask
from mmyolo_lite.datasets.transforms.resize import LetterResize, YOLOv5KeepRatioResize

__all__ = [
    'Albu',
    'LetterResize',
    'LoadAnnotations',
    'LoadImageFromFile',
    'Mosaic',
    'MosaicAffine',
    'PackDetInputs',
    'Polygon2Mask',
    'RemoveDataElement',
    'YOLOv5CopyPaste',
    'YOLOv5HSVRandomAug',
    'YOLOv5KeepRatioResize',
    'YOLOv5MixUp',
    'YOLOv5RandomAffine',
]
