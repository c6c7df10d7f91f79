# YOLOv5-s instance segmentation on COCO, 300 epochs, 8 GPUs with 16 images each.
_base_ = '../yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

# True: training masks are one index map per image, small objects on top; False: one mask per object
mask_overlap = True
# filters of the affine transform, milder than detection's
min_area_ratio = 0.01
max_aspect_ratio = 100

model_test_cfg = dict(
    multi_label=True,
    nms_pre=30000,
    min_bbox_size=0,
    score_thr=0.001,
    nms=dict(type='nms', iou_threshold=0.6),
    max_per_img=300,
    mask_thr_binary=0.5,
    # resize the probabilities of masks on the device, then compare with mask_thr_binary
    fast_test=True,
    # run-length masks, made without an array of all; False: masks (n, height, width) bool
    masks_as_rle=True,
)

model = dict(
    bbox_head=dict(
        type='YOLOv5InsHead',
        head_module=dict(type='YOLOv5InsHeadModule', mask_channels=32, proto_channels=256),
        mask_overlap=mask_overlap,
        loss_mask=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, reduction='none'),
        loss_mask_weight=0.05,
    ),
    test_cfg=model_test_cfg,
)

pre_transform = [
    dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, mask2bbox=True),
]

affine_transform = dict(
    _base_.affine_transform,
    min_area_ratio=min_area_ratio,
    max_aspect_ratio=max_aspect_ratio,
    use_mask_refine=True,
)

last_transform = [
    *_base_.color_flip_transform,
    # masks at a quarter of the size, the resolution of the prototypes
    dict(type='Polygon2Mask', downsample_ratio=4, mask_overlap=mask_overlap),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction'),
    ),
]

train_pipeline = [
    *pre_transform,
    dict(type='Mosaic', img_scale=_base_.img_scale, pad_val=114.0, pre_transform=pre_transform),
    affine_transform,
    *last_transform,
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
    dict(type='YOLOv5KeepRatioResize', scale=_base_.img_scale),
    dict(
        type='LetterResize',
        scale=_base_.img_scale,
        allow_scale_up=False,
        half_pad_param=True,
        pad_val=dict(img=114),
    ),
    dict(type='LoadAnnotations', with_bbox=True, _scope_='mmdet'),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param'),
    ),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator

# three sizes, each plain and mirrored (tools/test.py --tta)
tta_scales = [(640, 640), (512, 512), (768, 768)]
tta_model = dict(
    type='YOLOTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.6), max_per_img=300),
)
tta_pipeline = [
    dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
    dict(
        type='TestTimeAug',
        transforms=[
            # mirrored before anything is padded, so that both come to lie alike
            [dict(type='mmdet.RandomFlip', prob=0.0), dict(type='mmdet.RandomFlip', prob=1.0)],
            [
                dict(
                    type='Compose',
                    transforms=[
                        dict(type='YOLOv5KeepRatioResize', scale=scale),
                        dict(test_pipeline[2], scale=scale),
                    ],
                )
                for scale in tta_scales
            ],
            [
                dict(
                    type='mmdet.PackDetInputs',
                    meta_keys=(*test_pipeline[-1]['meta_keys'], 'flip', 'flip_direction'),
                )
            ],
        ],
    ),
]
