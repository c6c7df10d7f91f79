# YOLOv5-m detection on COCO: stronger scaling, mix-up, smaller class and objectness losses than s.
_base_ = 'yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

deepen_factor = 0.67
widen_factor = 0.75

affine_scale = 0.9
loss_cls_weight = 0.3
loss_obj_weight = 0.7
mixup_prob = 0.1

num_classes = _base_.num_classes
num_det_layers = _base_.num_det_layers
img_scale = _base_.img_scale

model = dict(
    backbone=dict(deepen_factor=deepen_factor, widen_factor=widen_factor),
    neck=dict(deepen_factor=deepen_factor, widen_factor=widen_factor),
    bbox_head=dict(
        head_module=dict(widen_factor=widen_factor),
        loss_cls=dict(loss_weight=loss_cls_weight * (num_classes / 80 * 3 / num_det_layers)),
        loss_obj=dict(
            loss_weight=loss_obj_weight * ((img_scale[0] / 640) ** 2 * 3 / num_det_layers)
        ),
    ),
)

pre_transform = _base_.pre_transform

mosaic_affine_pipeline = [
    dict(type='Mosaic', img_scale=img_scale, pad_val=114.0, pre_transform=pre_transform),
    dict(_base_.affine_transform, scaling_ratio_range=(1 - affine_scale, 1 + affine_scale)),
]

train_pipeline = [
    *pre_transform,
    *mosaic_affine_pipeline,
    dict(
        type='YOLOv5MixUp', prob=mixup_prob, pre_transform=[*pre_transform, *mosaic_affine_pipeline]
    ),
    # colour, flip and packing as in the base
    *_base_.train_pipeline[4:],
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
