# YOLOv5-n instance segmentation on the balloon set for small machines: 320 pixels, 150 epochs, a
# CPU is enough.
_base_ = 'yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py'

# ======================= what to change for your own data =======================
data_root = 'data/balloon/'
train_ann_file = 'train.json'
train_data_prefix = 'train/'
val_ann_file = 'val.json'
val_data_prefix = 'val/'
metainfo = dict(classes=('balloon',), palette=[(220, 20, 60)])
num_classes = 1

img_scale = (320, 320)
max_epochs = 150
warmup_iters = 100
train_batch_size_per_gpu = 4
train_num_workers = 2
image_cache = 'ram'  # of 61 images: 14 MB

# =========================== what follows from it ================================
model = dict(bbox_head=dict(head_module=dict(num_classes=num_classes)))

train_pipeline = [
    *_base_.pre_transform,
    dict(type='Mosaic', img_scale=img_scale, pad_val=114.0, pre_transform=_base_.pre_transform),
    dict(_base_.affine_transform, border=(-img_scale[0] // 2, -img_scale[1] // 2)),
    *_base_.last_transform,
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='YOLOv5KeepRatioResize', scale=img_scale),
    dict(_base_.test_pipeline[2], scale=img_scale),
    *_base_.test_pipeline[3:],
]
tta_scales = [(320, 320), (256, 256), (384, 384)]
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            _base_.tta_pipeline[1]['transforms'][0],
            [
                dict(
                    type='Compose',
                    transforms=[
                        dict(type='YOLOv5KeepRatioResize', scale=scale),
                        dict(_base_.test_pipeline[2], scale=scale),
                    ],
                )
                for scale in tta_scales
            ],
            _base_.tta_pipeline[1]['transforms'][2],
        ],
    ),
]

train_dataloader = dict(
    batch_size=train_batch_size_per_gpu,
    num_workers=train_num_workers,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img=train_data_prefix),
        ann_file=train_ann_file,
        cache=image_cache,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img=val_data_prefix),
        ann_file=val_ann_file,
        batch_shapes_cfg=None,
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=data_root + val_ann_file)
test_evaluator = val_evaluator

default_hooks = dict(
    logger=dict(interval=5),
    param_scheduler=dict(warmup_mim_iter=warmup_iters),
)
train_cfg = dict(max_epochs=max_epochs)
