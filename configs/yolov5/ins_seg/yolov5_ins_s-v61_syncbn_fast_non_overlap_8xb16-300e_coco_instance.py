# YOLOv5-s instance segmentation on COCO with one training mask per object, so that hidden parts
# count too.
_base_ = 'yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance.py'

mask_overlap = False

model = dict(bbox_head=dict(mask_overlap=mask_overlap))

train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='Polygon2Mask', downsample_ratio=4, mask_overlap=mask_overlap),
    _base_.train_pipeline[-1],
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
