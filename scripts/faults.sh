#!/bin/sh
# The fault campaign: seeded runs of the daemon against a simulated exchange, a store behind a fault-injecting proxy,
# signals (kill -9, SIGSTOP), and a disk that fails; in every other round of the scenarios with filling.
# Writes docs/faults.md.
#
#   scripts/faults.sh              500 runs
#   scripts/faults.sh 20           fewer
#   scripts/faults.sh 500 7000     another first seed; a run is repeated by its seed: scripts/faults.sh 1 7013
#   STORAGE=blocks scripts/faults.sh 300   order events in blocks; prints its table
#
# Each run is mostly waiting: FAULTS_AT_ONCE of them run side by side, 12 unless it is set.
# The short form, 14 runs, is a test of `cargo test --workspace`.
set -eu
cd "$(dirname "$0")/.."
runs=${1:-500}
seed=${2:-1000}
report=$(mktemp)
trap 'rm -f "$report"' EXIT
FAULTS_RUNS=$runs FAULTS_SEED=$seed FAULTS_REPORT=$report FAULTS_AT_ONCE=${FAULTS_AT_ONCE:-12} \
  cargo test --locked --release -p ingestor --test it -- --nocapture --exact campaign::nothing_is_missing_outside_of_declared_gaps
if [ "$runs" -lt 50 ] || [ -n "${STORAGE:-}" ]; then
  cat "$report"
  echo "fewer than 50 runs, or another storage: docs/faults.md stays as it is" >&2
  exit 0
fi
{
  sed '/^| scenario/,$d' docs/faults.md
  cat "$report"
  echo
  echo "\`scripts/faults.sh $runs $seed\`, $(date -u +%Y-%m-%d)."
} >"$report.md"
mv "$report.md" docs/faults.md
