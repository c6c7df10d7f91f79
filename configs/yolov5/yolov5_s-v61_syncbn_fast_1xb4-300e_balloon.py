# YOLOv5-s detection on the balloon set: 61 images, one class, one GPU or a laptop.
_base_ = 'yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

data_root = 'data/balloon/'
train_ann_file = 'train.json'
train_data_prefix = 'train/'
val_ann_file = 'val.json'
val_data_prefix = 'val/'
metainfo = dict(classes=('balloon',), palette=[(220, 20, 60)])
num_classes = 1

train_batch_size_per_gpu = 4
train_num_workers = 2
image_cache = 'ram'  # of 61 images: 54 MB at 640 pixels
log_interval = 1

train_dataloader = dict(
    batch_size=train_batch_size_per_gpu,
    num_workers=train_num_workers,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img=train_data_prefix),
        ann_file=train_ann_file,
        cache=image_cache,
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        data_prefix=dict(img=val_data_prefix),
        ann_file=val_ann_file,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + val_ann_file)
test_evaluator = val_evaluator
default_hooks = dict(logger=dict(interval=log_interval))

model = dict(bbox_head=dict(head_module=dict(num_classes=num_classes)))
