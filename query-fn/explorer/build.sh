#!/usr/bin/env bash
# Builds the explorer into dist/ and the list of its files in ../src/routes/explorer/files.rs; both are committed, so that cargo needs
# no Node. --check builds beside them and says whether they are up to date.
set -euo pipefail
cd "$(dirname "$0")"

[ -d node_modules ] || npm ci --silent
npx tsc --noEmit
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
EXPLORER_OUT=$scratch/built npx vite build --logLevel warn
if [ "${1:-}" = --check ]; then
    node embed.mjs "$scratch/built" "$scratch/dist" "$scratch/files.rs"
    if ! node embed.mjs --compare dist "$scratch/dist" || ! cmp -s "$scratch/files.rs" ../src/routes/explorer/files.rs; then
        echo 'the committed page is not what its sources make; run query-fn/explorer/build.sh' >&2
        exit 1
    fi
else
    node embed.mjs "$scratch/built" dist ../src/routes/explorer/files.rs
fi
wc -c dist/*.gz
