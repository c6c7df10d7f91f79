#!/usr/bin/env bash
# Every figure of docs/benchmarks.md that needs a GPU, within nine minutes on one data-centre GPU with 16 cores.
#
#   benchmarks/gpu_rows.sh [OUT_DIR] [PART ...]     parts: startup predict pipeline step train train_amp
#                                             small_data (default: all)
#
# Needs the balloon set in data/balloon. OUT_DIR (default: $OUT, or work_dirs/bench_gpu) gets one JSON file of each
# part and gpu_rows.log. A part that fails or takes too long does not stop the others; the exit status counts such
# parts. The trainings come last and share the time that is left. Settings are environment variables:
#   SECONDS_LEFT=520   for all parts        WORKERS=16       of the data loader of bench_pipeline
#   DEVICE=cuda        cpu for a trial      TRAIN_WORKERS=8  of the trainings
#   PYTHON=python      the interpreter      RUNS=work_dirs/gpu_rows  for the trainings' own files
#   TRAIN_OPTIONS, STEP_OPTIONS, PIPELINE_OPTIONS, PREDICT_OPTIONS, STARTUP_OPTIONS: more arguments, by blanks apart
set -uo pipefail
out=$(realpath -m "${1:-${OUT:-work_dirs/bench_gpu}}")
parts=${*:2}
cd "$(dirname "$0")/.." || exit 1
config=configs/yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance.py
small_data=configs/yolov5/ins_seg/yolov5_ins_s-v61_640_1xb16-600e_balloon_instance_small_data.py
python=${PYTHON:-python}
device=${DEVICE:-cuda}
budget=${SECONDS_LEFT:-520}
runs=${RUNS:-work_dirs/gpu_rows}
mkdir -p "$out" "$runs"
export PYTHONUNBUFFERED=1  # what was printed before a time limit is in the log
exec > >(tee "$out/gpu_rows.log") 2>&1
log=$!
failed=()

left() { echo $((budget - SECONDS)); }

wanted() { [[ -z $parts || " $parts " == *" $1 "* ]]; }

# part NAME LIMIT COMMAND...: run a command for at most LIMIT seconds, and no longer than there is time.
part() {
  local name=$1 limit=$2 start=$SECONDS status
  shift 2
  wanted "$name" || return 0
  ((limit < $(left))) || limit=$(left)
  echo "=== $name: at most $limit s: $*"
  if ((limit <= 0)); then
    echo "=== $name: no time left"
    failed+=("$name")
    return 1
  fi
  # the whole process group gets the signal, workers included
  timeout --kill-after=5 "$limit" "$@"
  status=$?
  echo "=== $name: status $status after $((SECONDS - start)) s"
  ((status == 0)) || failed+=("$name")
  return "$status"
}

# training NAME LIMIT CONFIG [--amp]: train; if time runs out, report what was reached.
training() {
  local name=$1 limit=$2 config=$3 kept
  shift 3
  wanted "$name" || return 0
  local command=("$python" benchmarks/bench_train.py "$config" "$@" --out-dir "$runs/$name")
  # shellcheck disable=SC2206  # several arguments
  local options=(--cfg-options "train_dataloader.num_workers=${TRAIN_WORKERS:-8}" train_cfg.val_interval=50
    ${TRAIN_OPTIONS:-})
  rm -rf "${runs:?}/$name"  # the scores of an earlier run would be collected too
  if ! part "$name" "$limit" "${command[@]}" "${options[@]}"; then
    [[ -d $runs/$name ]] || return  # it never began
    tail -n 20 "$runs/$name"/*/stdout.log
    echo "=== $name: what was reached"
    timeout 20 "${command[@]}" --collect "${options[@]}"
  fi
  for kept in "$runs/$name"/*.json; do
    [[ -e $kept ]] && cp "$kept" "$out/$name.json"
  done
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader || echo 'no nvidia-smi'
"$python" -c 'import platform, torch; print("Python", platform.python_version(), "PyTorch", torch.__version__)'
# shellcheck disable=SC2086  # several arguments
{
  part startup 75 "$python" benchmarks/bench_startup.py --device "$device" --repeats 3 \
    --out "$out/startup.json" ${STARTUP_OPTIONS:-}
  part predict 30 "$python" benchmarks/bench_predict.py --device "$device" --parts boxes \
    --out "$out/predict.json" ${PREDICT_OPTIONS:-}
  part pipeline 45 "$python" benchmarks/bench_pipeline.py --samples 50 --workers 1 "${WORKERS:-16}" \
    --out "$out/pipeline.json" ${PIPELINE_OPTIONS:-}
  part step 110 "$python" benchmarks/bench_step.py --device "$device" --out "$out/step.json" ${STEP_OPTIONS:-}
}
# what is left, in equal parts
trainings=0
for name in train train_amp small_data; do wanted "$name" && ((trainings += 1)); done
share() { echo $(($(left) / (trainings > 0 ? trainings : 1))); }
training train "$(share)" "$config"
wanted train && ((trainings -= 1))
training train_amp "$(share)" "$config" --amp
wanted train_amp && ((trainings -= 1))
training small_data "$(left)" "$small_data" --amp --batch-size 16
echo "=== finished after $SECONDS s; not finished or failed: ${failed[*]:-none}"
exec >&- 2>&-
wait "$log"  # for the log to be complete
exit "${#failed[@]}"
