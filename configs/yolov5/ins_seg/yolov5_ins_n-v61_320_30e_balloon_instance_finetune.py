# YOLOv5-n instance segmentation on the balloon set from weights trained on COCO: 320 pixels, 30
# epochs, a few minutes on a CPU. docs/small_data.md says what each setting is for.
_base_ = 'yolov5_ins_n-v61_320_150e_balloon_instance.py'

# weights of the same size of model, for example official ones converted by
# tools/model_converters/yolov5_to_mmyolo.py
load_from = 'checkpoints/yolov5n-seg.pth'
max_epochs = 30
base_lr = 0.002
warmup_iters = 48  # three epochs of 16 iterations

optim_wrapper = dict(optimizer=dict(lr=base_lr))
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
default_hooks = dict(
    # biases start from the rate of all others: they are not new
    param_scheduler=dict(warmup_mim_iter=warmup_iters, warmup_bias_lr=base_lr),
    checkpoint=dict(save_best='coco/segm_mAP'),
)
# an average over the last 100 or so of 480 iterations; the usual one is made for 100,000
custom_hooks = [dict(_base_.custom_hooks[0], momentum=0.01, gamma=50)]
