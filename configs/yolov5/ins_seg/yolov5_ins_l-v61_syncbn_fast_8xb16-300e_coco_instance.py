# YOLOv5-l instance segmentation on COCO: recipe of m with copy-paste.
_base_ = 'yolov5_ins_m-v61_syncbn_fast_8xb16-300e_coco_instance.py'

deepen_factor = 1.0
widen_factor = 1.0
copypaste_prob = 0.1  # share of the objects pasted mirrored

model = dict(
    backbone=dict(deepen_factor=deepen_factor, widen_factor=widen_factor),
    neck=dict(deepen_factor=deepen_factor, widen_factor=widen_factor),
    bbox_head=dict(head_module=dict(widen_factor=widen_factor)),
)

pre_transform = _base_.pre_transform
mosaic_affine_pipeline = [
    _base_.mosaic_affine_pipeline[0],
    dict(type='YOLOv5CopyPaste', prob=copypaste_prob),
    _base_.mosaic_affine_pipeline[1],
]

train_pipeline = [
    *pre_transform,
    *mosaic_affine_pipeline,
    dict(
        type='YOLOv5MixUp',
        prob=_base_.mixup_prob,
        pre_transform=[*pre_transform, *mosaic_affine_pipeline],
    ),
    *_base_.last_transform,
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
