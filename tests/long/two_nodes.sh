#!/usr/bin/env bash
# Train and test the demo config, shortened, on two machines: two network namespaces of this one, joined by a cable.
# Then kill the training on one of them, which has to end on both. Needs root, iproute2 and data/sample_balloon
# (make demo, or tools/misc/make_sample_dataset.py and tools/dataset_converters/balloon2coco.py):
#   tests/long/two_nodes.sh [WORK_DIR]
# PYTHON chooses the interpreter. Namespaces and their processes are removed at the end, however it comes.
set -euo pipefail
cd "$(dirname "$0")/../.."
work_dir=${1:-work_dirs/two_nodes}
config=configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py
limit=60  # seconds in which all ends when one process is killed
nodes=("yolo$$a" "yolo$$b") cables=("y$$a" "y$$b") addresses=(10.77.31.1 10.77.31.2)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} PORT=${PORT:-29517} NNODES=2 MASTER_ADDR=${addresses[0]}

[ "$(id -u)" = 0 ] || { echo 'two_nodes.sh makes network namespaces: run it as root' >&2; exit 2; }
command -v ip >/dev/null || { echo 'two_nodes.sh needs ip (Debian, Ubuntu: apt install iproute2)' >&2; exit 2; }
[ -f data/sample_balloon/val.json ] || { echo 'data/sample_balloon is missing: see the head of this file' >&2; exit 2; }

clean_up() {
  for node in "${nodes[@]}"; do
    ip netns pids "$node" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
    ip netns del "$node" 2>/dev/null || true
  done
}
trap clean_up EXIT

for node in "${nodes[@]}"; do ip netns add "$node"; done
ip link add "${cables[0]}" netns "${nodes[0]}" type veth peer name "${cables[1]}" netns "${nodes[1]}"
for i in 0 1; do
  ip -n "${nodes[i]}" addr add "${addresses[i]}/24" dev "${cables[i]}"
  ip -n "${nodes[i]}" link set "${cables[i]}" up
  ip -n "${nodes[i]}" link set lo up
done

# on_node NUMBER LOG COMMAND...: run a command on a node. Processes find each other by the address of the cable; by
# name every node would be this machine's localhost.
on_node() {
  local number=$1 log=$2
  shift 2
  NODE_RANK=$number GLOO_SOCKET_IFNAME=${cables[number]} NCCL_SOCKET_IFNAME=${cables[number]} \
    ip netns exec "${nodes[number]}" "$@" >"$log" 2>&1
}

# on_both NAME COMMAND...: run a command on both nodes and require the success of both.
on_both() {
  local name=$1 code=0
  shift
  on_node 0 "$work_dir/$name.0.log" "$@" & local first=$!
  on_node 1 "$work_dir/$name.1.log" "$@" & local second=$!
  wait "$first" || code=$?
  wait "$second" || code=$?
  if [ "$code" != 0 ]; then
    tail -n 30 "$work_dir/$name".?.log >&2
    echo "FAILED: $name ended with $code" >&2
    exit 1
  fi
  echo "ok: $name on both nodes"
}

rm -rf "$work_dir"
mkdir -p "$work_dir"
short=(train_cfg.max_epochs=2 train_cfg.val_interval=2 default_hooks.checkpoint.interval=1 train_dataloader.num_workers=1
  train_dataloader.dataset.indices=16 val_dataloader.num_workers=1 val_dataloader.dataset.indices=4
  test_dataloader.num_workers=1)
on_both train tools/dist_train.sh "$config" 1 --work-dir "$work_dir/run" --cfg-options "${short[@]}"
on_both test tools/dist_test.sh "$config" "$work_dir/run/epoch_2.pth" 1 --work-dir "$work_dir/run" \
  --cfg-options test_dataloader.num_workers=1
grep -ho 'coco/\(bbox\|segm\)_mAP: [0-9.-]*' "$work_dir/test.0.log" | tail -n 2

# a process that is killed on the second node
: >"$work_dir/kill.0.log"
on_node 0 "$work_dir/kill.0.log" tools/dist_train.sh "$config" 1 --work-dir "$work_dir/kill" & first=$!
on_node 1 "$work_dir/kill.1.log" tools/dist_train.sh "$config" 1 --work-dir "$work_dir/kill" & second=$!
until grep -q 'Epoch(train)' "$work_dir/kill.0.log"; do
  kill -0 "$first" || { echo 'FAILED: the training to be killed did not start' >&2; exit 1; }
  sleep 1
done
victim=$(ip netns pids "${nodes[1]}" | while read -r pid; do
  tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'train.py.*--launcher' &&
    ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'torch.distributed.run' && echo "$pid" && break
done || true)
begin=$SECONDS
kill -9 "$victim"
codes=()
for pid in "$first" "$second"; do wait "$pid" && codes+=(0) || codes+=($?); done
took=$((SECONDS - begin))
if [ "${codes[0]}" = 0 ] || [ "${codes[1]}" = 0 ] || [ "$took" -gt "$limit" ]; then
  echo "FAILED: after the kill of process $victim the nodes ended with ${codes[*]} in $took s" >&2
  exit 1
fi
sleep 10  # workers look every few seconds whether the process that they work for lives
left=$(for node in "${nodes[@]}"; do ip netns pids "$node"; done)
[ -z "$left" ] || { echo "FAILED: processes are left: $left" >&2; exit 1; }
echo "ok: a killed process ended both nodes in $took s, exit codes ${codes[*]}, and left no process"
