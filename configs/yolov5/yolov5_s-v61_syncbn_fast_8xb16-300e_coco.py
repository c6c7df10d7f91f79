# YOLOv5-s detection on COCO with batches collated into plain tensors, the faster way.
_base_ = 'yolov5_s-v61_syncbn_8xb16-300e_coco.py'

train_dataloader = dict(collate_fn=dict(type='yolov5_collate'))

model = dict(
    data_preprocessor=dict(
        type='YOLOv5DetDataPreprocessor',
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
    )
)
