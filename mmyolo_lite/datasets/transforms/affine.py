"""Random rotation, zoom, shear and shift of the image, its boxes and its polygons."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import PolygonMasks

from mmyolo_lite.datasets.transforms.mix import box_array, select, set_image, to_boxes
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops import polygons as poly
from mmyolo_lite.ops.affine import affine_matrix, keep_boxes, transform_boxes, warp_image
from mmyolo_lite.registry import TRANSFORMS

# Boxes that come from polygons stay this far inside the far border, as MMYOLO's do.
_BORDER_MARGIN = 1e-3


@TRANSFORMS.register_module()
class YOLOv5RandomAffine(BaseTransform):
    """Warp the image by a random affine and drop objects of which too little is left (spec: data.md
    6.1).

    With polygons, an object's new box bounds the visible part of its resampled contour, so an
    object that covers the whole output with its contour out of sight is dropped. Without polygons
    it bounds the transformed corners.

    Draws six uniforms: rotation, zoom, x shear, y shear, x shift, y shift.

    Args:
        max_rotate_degree: Rotation is drawn from plus or minus this, degrees.
        max_translate_ratio: The shift is at most this share of the output size, in [0, 1].
        scaling_ratio_range: Range of the zoom.
        max_shear_degree: Each shear is drawn from plus or minus this, degrees.
        border: Width and height added to each side of the image to get the output size; negative
            after a mosaic.
        border_val: Colour of what lies outside the image.
        bbox_clip_border: Clip boxes and polygons to the output.
        min_bbox_size: Objects must be wider and higher than this, pixels.
        min_area_ratio: More than this share of an object's box must remain.
        use_mask_refine: Without effect, for configs that set it: polygons are used whenever there
            are any.
        max_aspect_ratio: Boxes must be less elongated than this.
        resample_num: Points per polygon ring.

    Raises:
        ConfigError: If an argument is out of range; when called, if `border` leaves nothing of an
            image.
    """

    def __init__(
        self,
        max_rotate_degree: float = 10.0,
        max_translate_ratio: float = 0.1,
        scaling_ratio_range: tuple[float, float] = (0.5, 1.5),
        max_shear_degree: float = 2.0,
        border: tuple[int, int] = (0, 0),
        border_val: tuple[int, int, int] = (114, 114, 114),
        bbox_clip_border: bool = True,
        min_bbox_size: float = 2,
        min_area_ratio: float = 0.1,
        use_mask_refine: bool = False,
        max_aspect_ratio: float = 20.0,
        resample_num: int = 1000,
    ) -> None:
        if not 0 <= max_translate_ratio <= 1:
            raise ConfigError(
                f'YOLOv5RandomAffine: max_translate_ratio is {max_translate_ratio}, it must '
                'lie between 0 and 1'
            )
        if not 0 < scaling_ratio_range[0] <= scaling_ratio_range[1]:
            raise ConfigError(
                f'YOLOv5RandomAffine: scaling_ratio_range is {scaling_ratio_range}, it must be '
                'ordered and greater than 0'
            )
        if resample_num < 2:
            raise ConfigError(
                f'YOLOv5RandomAffine: resample_num is {resample_num}, it must be at least 2'
            )
        self.max_rotate_degree = max_rotate_degree
        self.max_translate_ratio = max_translate_ratio
        self.scaling_ratio_range = tuple(scaling_ratio_range)
        self.max_shear_degree = max_shear_degree
        self.border = tuple(border)
        self.border_val = border_val
        self.bbox_clip_border = bbox_clip_border
        self.min_bbox_size = min_bbox_size
        self.min_area_ratio = min_area_ratio
        self.use_mask_refine = use_mask_refine
        self.max_aspect_ratio = max_aspect_ratio
        self.resample_num = resample_num

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Warp the image and its annotations."""
        img = results['img']
        input_wh = (img.shape[1], img.shape[0])
        output_wh = self.output_wh(input_wh)
        matrix, zoom = self.draw_matrix(input_wh, output_wh)
        set_image(results, warp_image(img, matrix, output_wh, self.border_val))
        if 'gt_bboxes' in results:
            table = poly.pack(results['gt_masks'].masks) if 'gt_masks' in results else None
            self.move_objects(results, box_array(results), table, (matrix, zoom), output_wh)
        return results

    def output_wh(self, input_wh: tuple[int, int]) -> tuple[int, int]:
        """Return width and height of what becomes of an image.

        Raises:
            ConfigError: If `border` leaves nothing of it.
        """
        width, height = (
            size + 2 * border for size, border in zip(input_wh, self.border, strict=True)
        )
        if min(width, height) <= 0:
            raise ConfigError(
                f'YOLOv5RandomAffine: border {self.border} leaves {(width, height)} of an image '
                f'of size {input_wh} (width, height): a negative border needs the larger canvas '
                'of a Mosaic'
            )
        return width, height

    def move_objects(
        self,
        results: dict,
        boxes: np.ndarray,
        table: poly.RingTable | None,
        warp: tuple[np.ndarray, float],
        output_wh: tuple[int, int],
    ) -> None:
        """Store the moved objects and drop those of which too little is left.

        Args:
            results: With the labels of N objects.
            boxes: (N, 4) float32 xyxy, input pixels.
            table: Their rings, input pixels, or None without masks.
            warp: Matrix (3, 3) from input to output pixels, and the zoom in it.
            output_wh: Width and height of the output.
        """
        matrix, zoom = warp
        objects: poly.Polygons = []
        if len(boxes) and table is not None:
            boxes, keep, objects = self._warp_rings(table, boxes, matrix, zoom, output_wh)
        elif len(boxes):
            boxes, keep = self._warp_boxes(boxes, matrix, zoom, output_wh)
        else:
            keep = np.zeros(0, dtype=bool)
        results['gt_bboxes'] = to_boxes(boxes)
        results.pop('gt_masks', None)
        select(results, keep)
        if table is not None:
            results['gt_masks'] = PolygonMasks(objects, output_wh[1], output_wh[0])

    def draw_matrix(
        self, input_wh: tuple[int, int], output_wh: tuple[int, int]
    ) -> tuple[np.ndarray, float]:
        """Draw the matrix (3, 3) and the zoom in it."""
        uniform = np.random.uniform
        rotation = uniform(-self.max_rotate_degree, self.max_rotate_degree)
        zoom = uniform(self.scaling_ratio_range[0], self.scaling_ratio_range[1])
        shear_x, shear_y = (
            uniform(-self.max_shear_degree, self.max_shear_degree) for _ in range(2)
        )
        shift_x, shift_y = (
            uniform(0.5 - self.max_translate_ratio, 0.5 + self.max_translate_ratio) * size
            for size in output_wh
        )
        matrix = affine_matrix(rotation, zoom, (shear_x, shear_y), (shift_x, shift_y), input_wh)
        return matrix, zoom

    def _keep(self, before: np.ndarray, after: np.ndarray, zoom: float) -> np.ndarray:
        return keep_boxes(
            before * np.float32(zoom),
            after,
            self.min_bbox_size,
            self.min_area_ratio,
            self.max_aspect_ratio,
        )

    def _warp_boxes(
        self, boxes: np.ndarray, matrix: np.ndarray, zoom: float, output_wh: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move boxes by their corners; clip first, then filter. Returns what is kept, and which."""
        moved = transform_boxes(boxes, matrix)
        if self.bbox_clip_border:
            moved = np.clip(moved, 0, np.array(output_wh * 2, dtype=np.float32))
        keep = self._keep(boxes, moved, zoom)
        return moved[keep], keep

    def _warp_rings(
        self,
        table: poly.RingTable,
        boxes: np.ndarray,
        matrix: np.ndarray,
        zoom: float,
        output_wh: tuple[int, int],
    ) -> tuple[np.ndarray, np.ndarray, poly.Polygons]:
        """Move rings, resample those in sight, and drop objects of which too little is left.

        Moving the vertices and then sampling between them gives the samples moved, at a small part
        of the work, as the transform is affine.

        Args:
            table: The rings of N objects, input pixels.
            boxes: (N, 4) float32 xyxy of the input, to compare with.
            matrix: (3, 3) from input to output pixels.
            zoom: The zoom in it.
            output_wh: Width and height of the output.

        Returns:
            The boxes (M, 4) float32 xyxy of what is kept, which objects those are, (N,) bool, and
            their polygons, all in output pixels.
        """
        table = table._replace(points=poly.transform(table.points, matrix))
        in_sight = poly.objects_in_sight(table, output_wh)
        visible = poly.select_objects(table, in_sight)
        samples = poly.resample(visible, self.resample_num)
        moved = np.zeros((len(boxes), 4), dtype=np.float32)
        owners = visible.owners
        moved[in_sight] = poly.visible_bounds(samples, owners, len(visible.counts), output_wh)
        keep = self._keep(boxes, moved, zoom)
        kept_in_sight = keep[in_sight]
        moved, samples = moved[keep], samples[kept_in_sight[owners]]
        if self.bbox_clip_border:
            moved = np.clip(
                moved, 0, np.array(output_wh * 2, dtype=np.float32) - np.float32(_BORDER_MARGIN)
            )
            samples = poly.clamp(samples, output_wh)
        counts = [n for n, kept in zip(visible.counts, kept_in_sight, strict=True) if kept]
        return moved, keep, poly.group(list(samples.reshape(-1, 2 * self.resample_num)), counts)
