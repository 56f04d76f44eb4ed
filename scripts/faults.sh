#!/bin/sh
# The fault campaign: seeded runs of the daemon against a simulated exchange, a store behind a fault-injecting proxy,
# kill -9, and a disk that fails.
# Writes docs/faults.md.
#
#   scripts/faults.sh              200 runs, about half an hour on two cores
#   scripts/faults.sh 20           fewer
#   scripts/faults.sh 200 7000     another first seed; a run is repeated by its seed: scripts/faults.sh 1 7013
#
# The short form, 12 runs, is a test of `cargo test --workspace`.
set -eu
cd "$(dirname "$0")/.."
runs=${1:-200}
seed=${2:-1000}
report=$(mktemp)
trap 'rm -f "$report"' EXIT
FAULTS_RUNS=$runs FAULTS_SEED=$seed FAULTS_REPORT=$report \
  cargo test --locked --release -p ingestor --test it -- --nocapture nothing_is_missing_outside
if [ "$runs" -lt 50 ]; then
  cat "$report"
  echo "fewer than 50 runs: docs/faults.md stays as it is" >&2
  exit 0
fi
{
  sed '/^| scenario/,$d' docs/faults.md
  cat "$report"
  echo
  echo "\`scripts/faults.sh $runs $seed\`, $(date -u +%Y-%m-%d)."
} >"$report.md"
mv "$report.md" docs/faults.md
