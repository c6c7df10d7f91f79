# YOLOv5-n instance segmentation on the balloon set from random weights, with settings for a few
# hundred images or less: 320 pixels, as many iterations as 150 epochs of 4 images a batch.
# docs/small_data.md says what each setting is for.
_base_ = 'yolov5_ins_n-v61_320_150e_balloon_instance.py'

base_lr = 0.002
max_epochs = 600
train_batch_size_per_gpu = 16
copypaste_prob = 0.5  # share of the objects pasted mirrored

# of tools/analysis_tools/optimize_anchors.py, for the training boxes at 320 pixels
anchors = [
    [(14, 21), (30, 29), (35, 41)],  # stride 8
    [(51, 47), (55, 68), (42, 104)],  # stride 16
    [(86, 82), (122, 123), (159, 144)],  # stride 32
]
model = dict(bbox_head=dict(prior_generator=dict(base_sizes=anchors)))

train_pipeline = [
    *_base_.pre_transform,
    *_base_.train_pipeline[2:4],  # mosaic and affine, which run as one step when neighbours
    dict(type='YOLOv5CopyPaste', prob=copypaste_prob),
    *_base_.last_transform,
]
train_dataloader = dict(batch_size=train_batch_size_per_gpu, dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=base_lr, weight_decay=0.05))
# an average over the last 300 or so of 2,400 iterations; the usual one is made for 100,000
custom_hooks = [dict(_base_.custom_hooks[0], momentum=0.003, gamma=300)]
train_cfg = dict(max_epochs=max_epochs, val_interval=60)
default_hooks = dict(
    param_scheduler=dict(warmup_bias_lr=0.0),  # that of SGD, 0.1, is far too much for AdamW
    checkpoint=dict(interval=60, save_best='coco/segm_mAP'),
)
