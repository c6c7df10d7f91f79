# YOLOv5-n instance segmentation on the balloon set from random weights, with settings for a few
# hundred images or less: 320 pixels, 150 epochs. docs/small_data.md says what each is for.
_base_ = 'yolov5_ins_n-v61_320_150e_balloon_instance.py'

base_lr = 0.001
max_epochs = 150
num_last_epochs = 30  # of single images in place of mosaics

optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=base_lr, weight_decay=0.05))

single_image_pipeline = [
    *_base_.pre_transform,
    dict(type='YOLOv5KeepRatioResize', scale=_base_.img_scale),
    dict(type='LetterResize', scale=_base_.img_scale, allow_scale_up=True, pad_val=dict(img=114.0)),
    dict(_base_.affine_transform, border=(0, 0)),
    *_base_.last_transform,
]
custom_hooks = [
    # an average over the last 300 or so of 2,400 iterations; the usual one is made for 100,000
    dict(_base_.custom_hooks[0], momentum=0.003, gamma=300),
    dict(
        type='PipelineSwitchHook',
        switch_epoch=max_epochs - num_last_epochs,
        switch_pipeline=single_image_pipeline,
    ),
]
train_cfg = dict(max_epochs=max_epochs)
default_hooks = dict(
    param_scheduler=dict(warmup_bias_lr=0.0),  # that of SGD, 0.1, is far too much for AdamW
    checkpoint=dict(save_best='coco/segm_mAP'),
)
