# YOLOv5-n instance segmentation on the generated sample data (tools/misc/make_sample_dataset.py):
# the demo.
_base_ = 'yolov5_ins_n-v61_320_150e_balloon_instance.py'

data_root = 'data/sample_balloon/'
max_epochs = 36
val_interval = 12

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + _base_.val_ann_file)
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=val_interval)
default_hooks = dict(checkpoint=dict(interval=val_interval))
randomness = dict(seed=0)  # on one machine, the demo is the same each time
