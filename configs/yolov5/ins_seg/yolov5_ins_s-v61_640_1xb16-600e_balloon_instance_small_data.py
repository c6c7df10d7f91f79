# YOLOv5-s instance segmentation on the balloon set from random weights, with settings for a few
# hundred images or less, for a GPU: 640 pixels, 2,400 iterations of 16 images.
# docs/small_data.md says what each setting is for.
_base_ = 'yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance.py'

base_lr = 0.002
max_epochs = 600
train_batch_size_per_gpu = 16
copypaste_prob = 0.5  # share of the objects pasted mirrored

# of tools/analysis_tools/optimize_anchors.py, for the training boxes at 640 pixels
anchors = [
    [(29, 42), (61, 63), (69, 104)],  # stride 8
    [(108, 89), (105, 132), (107, 238)],  # stride 16
    [(165, 159), (200, 197), (271, 258)],  # stride 32
]
model = dict(bbox_head=dict(prior_generator=dict(base_sizes=anchors)))

train_pipeline = [
    *_base_.pre_transform,
    *_base_.train_pipeline[2:4],  # mosaic and affine, which run as one step when neighbours
    dict(type='YOLOv5CopyPaste', prob=copypaste_prob),
    *_base_.last_transform,
]
train_dataloader = dict(
    batch_size=train_batch_size_per_gpu, num_workers=8, dataset=dict(pipeline=train_pipeline)
)

optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=base_lr, weight_decay=0.05))
# an average over the last 300 or so of 2,400 iterations; the usual one is made for 100,000
custom_hooks = [dict(_base_.custom_hooks[0], momentum=0.003, gamma=300)]
train_cfg = dict(max_epochs=max_epochs, val_interval=60)
default_hooks = dict(
    # 100 iterations; a bias's rate of SGD, 0.1, is far too much for AdamW
    param_scheduler=dict(warmup_mim_iter=100, warmup_bias_lr=0.0),
    checkpoint=dict(interval=60, save_best='coco/segm_mAP'),
)
