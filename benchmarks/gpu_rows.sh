#!/usr/bin/env bash
# Every figure of docs/benchmarks.md that needs a GPU; about nine minutes on one data-centre GPU with 16 cores.
# Needs the balloon set in data/balloon. Usage: benchmarks/gpu_rows.sh [OUT_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-work_dirs/bench_gpu}
config=configs/yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance.py
options=(train_dataloader.num_workers=8 train_cfg.val_interval=50)

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
python benchmarks/bench_train.py "$config" --out-dir "$out" --cfg-options "${options[@]}"
python benchmarks/bench_train.py "$config" --amp --out-dir "$out" --cfg-options "${options[@]}"
