#!/bin/sh
# Times "saguarota manifest" against the builder in plain Python that lies
# beside this script, each as a whole process on the same tree, in turn, so
# that a machine whose speed drifts slows both. Prints the medians and their
# ratio.
#
# usage: bench/manifest.sh [FILES [RUNS]]      (5000 files, 15 runs)
#
# PROGRAM names the binary; without it one is built.
set -eu

files=${1:-5000}
runs=${2:-15}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

if [ -z "${PROGRAM:-}" ]; then
    PROGRAM=$work/saguarota
    (cd "$here/.." && go build -o "$PROGRAM" ./cmd/saguarota)
fi

python3 - "$PROGRAM" "$here/manifest_baseline.py" "$work" "$files" "$runs" <<'PYTHON'
import json
import os
import random
import statistics
import subprocess
import sys
import time

program, baseline, work, files, runs = sys.argv[1:]
src = os.path.join(work, "src")
rng = random.Random(1)
for i in range(int(files)):
    folder = os.path.join(src, "app", "m%02d" % (i % 50))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "f%05d.py" % i), "wb") as file:
        file.write(rng.randbytes(rng.choice((200, 800, 2000, 6000))))

ours, theirs = os.path.join(work, "go.json"), os.path.join(work, "python.json")
commands = {
    "saguarota": [program, "manifest", src, "-o", ours],
    "python": [sys.executable, baseline, src, theirs],
}
times = {name: [] for name in commands}
for run in range(int(runs) + 1):
    for name, command in commands.items():
        start = time.perf_counter()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        if run > 0:  # the first one warms the file cache
            times[name].append(time.perf_counter() - start)

with open(ours) as a, open(theirs) as b:
    got, want = json.load(a), json.load(b)
for entry in got["files"]:
    del entry["size"], entry["sha256"]
if got != want:
    sys.exit("the two manifests differ")

median = {name: statistics.median(seconds) for name, seconds in times.items()}
for name, seconds in times.items():
    print("%-10s median %6.1f ms  (%.1f to %.1f)" % (name, 1e3 * median[name], 1e3 * min(seconds), 1e3 * max(seconds)))
print("ratio      %.2f" % (median["saguarota"] / median["python"]))
PYTHON
