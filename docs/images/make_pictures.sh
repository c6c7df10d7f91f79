#!/usr/bin/env bash
# Makes the pictures of the documentation anew, from a run of `make demo`.
# Usage: docs/images/make_pictures.sh [WORK_DIR]        needs grad-cam, playwright and a Chromium
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-.venv/bin/python}
run=${1:-work_dirs/demo}
config=configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py
photos=data/sample_balloon/val
photo=$photos/sample_val_0012.jpg
checkpoint=$(ls -t "$run"/best_*.pth | head -n 1)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$python" demo/image_demo.py $photos $config "$checkpoint" --out-dir "$out/found"
"$python" tools/test.py $config "$checkpoint" --work-dir "$out/test" --show-dir show_results
"$python" tools/analysis_tools/browse_dataset.py $config -n 6 --not-show --out-dir "$out/look"
"$python" demo/featmap_vis_demo.py $photo $config "$checkpoint" --target-layers backbone \
    --channel-reduction squeeze_mean --out-dir "$out/maps"
"$python" demo/boxam_vis_demo.py $photo $config "$checkpoint" --method gradcam --out-dir "$out/cam"
"$python" tools/analysis_tools/report.py "$run" --out "$out/report.html" --title 'make demo'

"$python" docs/images/compose.py "$out" "$run" docs/images
