#!/usr/bin/env bash
# The page in Chromium against the local demo. EXPLORER_SHOTS=FOLDER also takes the pictures of the documents.
#   BITSTAMP_LIVE   the demo's program; without it, cargo builds it
#   CHROMIUM        the browser; without it, /usr/bin/chromium
set -euo pipefail
cd "$(dirname "$0")"

[ -d node_modules ] || npm ci --silent
if [ -z "${BITSTAMP_LIVE:-}" ]; then
    (cd ../.. && cargo build -p local --locked --quiet)
    BITSTAMP_LIVE=$(realpath "${CARGO_TARGET_DIR:-../../target}/debug/bitstamp-live")
fi
export BITSTAMP_LIVE
npx tsc -p test/units.json
exec node --test --test-concurrency=1 --test-reporter=spec test/units.test.mjs test/explorer.test.mjs test/status.test.mjs
