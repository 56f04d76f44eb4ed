#!/usr/bin/env bash
# Deploys into an emulator of AWS with the scripts that people run, unchanged, and asks what came out: scripts/deploy.sh, a daemon
# that fills the table, the request that deploy.sh printed, scripts/smoke.sh, later deployments, scripts/destroy.sh.
#
#   infra/check/deploy.sh EMULATOR_PYTHON BINARIES
#
# EMULATOR_PYTHON is a Python with infra/check/requirements-emulator.txt. BINARIES holds query-fn, items-fn, items, ingestor and exchange-sim
# for this machine; query-fn and items-fn are what the functions' zips hold, so their architecture is not that of the template. Runs in a copy of scripts/ and
# infra/, on 127.0.0.1 alone, and leaves nothing behind.
#
# What only stands here for AWS: a program named curl that sends requests for the API's address to the emulator.
set -euo pipefail
[ $# = 2 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 2; }
python=$(realpath -s "$1") binaries=$(realpath "$2")
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
processes=()
# shellcheck disable=SC2329 # the trap calls it
end() {
    local process
    for process in ${processes[@]+"${processes[@]}"}; do kill "$process" 2>/dev/null && wait "$process" 2>/dev/null; done
    rm -rf "$work"
}
trap end EXIT
fail() { printf 'FAILED: %s\n' "$*" >&2; [ ! -s "$work/said" ] || tail -n 30 "$work/said" >&2; exit 1; }
begun=$SECONDS
ok() { printf 'ok %4d s: %s\n' $((SECONDS - begun)) "$*"; }
run() { # a command whose output is kept in said
    "$@" >"$work/said" 2>&1
}
has() { grep -qE -- "$1" "$work/said" || fail "nothing like \`$1\` in the output"; }
lacks() { if grep -qE -- "$1" "$work/said"; then fail "\`$1\` in the output"; fi; }
until_has() { # file, pattern, process
    for _ in $(seq 1200); do
        if grep -qE -- "$2" "$1"; then return 0; fi
        kill -0 "$3" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 5 "$1" >&2
    return 1
}

# The checkout as a user has it after scripts/build.sh.
mkdir -p "$work/checkout/target/lambda" "$work/bin" "$work/emulator"
cp -r infra scripts "$work/checkout/"
pack() { # file of the function, name of its zip
    "$python" - "$1" "$work/checkout/target/lambda/${2:-query-fn}.zip" <<'PY'
import sys, zipfile
entry = zipfile.ZipInfo("bootstrap")
entry.external_attr, entry.compress_type = 0o100755 << 16, zipfile.ZIP_DEFLATED
zipfile.ZipFile(sys.argv[2], "w").writestr(entry, open(sys.argv[1], "rb").read(), compresslevel=1)
PY
}
strip -o "$work/query-fn" "$binaries/query-fn" 2>/dev/null || cp "$binaries/query-fn" "$work/query-fn"
pack "$work/query-fn"
strip -o "$work/items-fn" "$binaries/items-fn" 2>/dev/null || cp "$binaries/items-fn" "$work/items-fn"
pack "$work/items-fn" items-fn

# The environment of a user with one account; nothing of this machine's own settings.
export AWS_DEFAULT_REGION=eu-central-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_CONFIG_FILE=/dev/null \
    AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true NO_COLOR=1
unset AWS_REGION AWS_PROFILE AWS_SESSION_TOKEN
for _ in 1 2 3; do
    # Another program may take the port in between: the emulator then ends, and another port is tried.
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port
    : >"$work/emulator.log"
    # It says at this level that it is ready.
    LOG_LEVEL=INFO AUTH=true BIND_HOST=127.0.0.1 GATEWAY_PORT=$port MINISTACK_REGION=$AWS_DEFAULT_REGION TMPDIR=$work/emulator \
        "$python" infra/check/emulator.py >"$work/emulator.log" 2>&1 &
    emulator=$!
    processes+=("$emulator")
    if until_has "$work/emulator.log" 'Running on http' $emulator; then break; fi
    emulator=
done
[ -n "$emulator" ] || fail 'the emulator does not start'
curl=$(command -v curl)
cat >"$work/bin/curl" <<SH
#!/usr/bin/env bash
arguments=()
for argument in "\$@"; do
    arguments+=("\$(sed -E 's#^https://([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com#http://127.0.0.1:$port/_aws/execute-api/\1#' <<<"\$argument")")
done
exec '$curl' "\${arguments[@]}"
SH
chmod +x "$work/bin/curl"
export PATH=$work/bin:$PATH
cd "$work/checkout"
ok "the emulator answers on 127.0.0.1:$port"

first_request() { # carries out what deploy.sh printed; the answer is in said
    local line
    line=$(sed -n 's/^Its first key: *//p' "$work/said")
    eval "${line:-:}"
    line=$(sed -n 's/^First request: *//p' "$work/said")
    [ -n "$line" ] || fail 'no first request was printed'
    echo "  $line"
    eval "$line --silent --show-error --include" >"$work/answer" 2>&1 || fail "the first request: $(cat "$work/answer")"
    grep -q '^HTTP/[0-9.]* 200' "$work/answer" || fail "the first request: $(cat "$work/answer")"
    grep -q '"Count":3,' "$work/answer" || fail "the first request: $(cat "$work/answer")"
}
shas() { aws lambda list-functions --query 'sort(Functions[].CodeSha256)' --output text; }
title() { curl --silent "$url/openapi.json" | grep -oE 'bitstamp-live query [A-Za-z0-9]+' | head -n 1; }

run scripts/deploy.sh --bucket packages || fail 'the first deployment'
has '^smoke test: .* answers as it should$'
cp "$work/said" "$work/first"
url=$(sed -n 's/^The API: //p' "$work/said")
ok 'deployed: table, roles, API, alarms; the empty API answers'

"$binaries/exchange-sim" --listen 127.0.0.1:0 --rate 0.05 >"$work/exchange.log" 2>&1 &
processes+=($!)
until_has "$work/exchange.log" 'ws://' $! || fail 'exchange-sim does not start'
exchange=$(grep -oE '127\.0\.0\.1:[0-9]+' "$work/exchange.log" | head -n 1)
"$binaries/ingestor" --region "$AWS_DEFAULT_REGION" --url "ws://$exchange" --rest-url "http://$exchange/api/v2" \
    --spool-dir "$work/spool" --listen 127.0.0.1:0 --channels live_trades_btcusd,live_orders_btcusd >"$work/ingestor.log" 2>&1 &
daemon=$!
processes+=("$daemon")
until_has "$work/ingestor.log" 'listening address=' $daemon || fail 'the daemon does not start'
health=$(grep -oE 'listening address=[0-9.:]+' "$work/ingestor.log" | cut -d= -f2)
for _ in $(seq 600); do
    curl --silent "http://$health/health" >"$work/health" || true
    trades=$(aws dynamodb query --table-name bitstamp-live --index-name channel-nmicrotimestamp-index --select COUNT \
        --key-condition-expression 'channel = :c' --expression-attribute-values '{":c":{"S":"live_trades_btcusd"}}' --query Count)
    [ "$trades" -lt 4 ] || break
    sleep 0.2
done
[ "$trades" -ge 4 ] || fail "the daemon stores nothing: $(cat "$work/health")"
kill $daemon
wait $daemon || fail "the daemon: $(tail -n 3 "$work/ingestor.log")"
grep -q 'stopped left=0' "$work/ingestor.log" || fail "the daemon: $(tail -n 1 "$work/ingestor.log")"
ok "the daemon captured into the table: $trades trades and the orders around them"

cp "$work/first" "$work/said"
first_request
ok 'the printed first request: 200 and three events'
key=$(aws apigateway get-api-key --include-value --api-key "$(aws apigateway get-api-keys --query 'items[0].id' --output text)" \
    --query value --output text)
run scripts/smoke.sh --require "$url" "$key" || fail 'the smoke test'
sed 's/^/  /' "$work/said"
run scripts/smoke.sh --require --wait 0 "$url" wrong-key && fail 'the smoke test is content with a wrong key'
ok 'scripts/smoke.sh is content, and is not with a wrong key'

before=$(shas)
run scripts/deploy.sh --bucket packages || fail 'the same deployment again'
for part in data roles alarms; do has "No changes to deploy. Stack bitstamp-live-$part is up to date"; done
if [ "$(sed -n 's/^The API: //p' "$work/said")" != "$url" ] || [ "$(shas)" != "$before" ]; then fail 'another address or another function'; fi
first_request
ok 'deployed again: nothing changed'

# A token of the key before the rotation is taken as long as that key is there. Another version differs in a text of the contract
# that it serves.
page="$url/bitstamp?channel=live_orders_btcusd&limit=1"
token=$(curl --silent -H "x-api-key: $key" --dump-header - --output /dev/null "$page" | tr -d '\r' | sed -n 's/^last-evaluated-key: *//Ip')
secret=$(aws cloudformation describe-stacks --stack-name bitstamp-live-app --output text \
    --query "Stacks[0].Outputs[?OutputKey=='TokenKeysArn'].OutputValue")
old=$(aws secretsmanager get-secret-value --secret-id "$secret" --query SecretString --output text)
new=$("$python" -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())')
follow() { curl --silent --output "$work/said" --write-out '%{http_code}' -H "x-api-key: $key" "$page&ExclusiveStartKey=$token"; }
aws secretsmanager put-secret-value --secret-id "$secret" --secret-string "$new,$old" >/dev/null
run scripts/deploy.sh --bucket packages --only app || fail 'the rotation'
[ "$(follow)" = 200 ] || fail 'an old token is refused while its key is still there'
[ "$(title)" = 'bitstamp-live query API' ] || fail "the contract is served as: $(title)"
LC_ALL=C sed 's/bitstamp-live query API/bitstamp-live query NEW/g' "$work/query-fn" >"$work/query-fn-new"
pack "$work/query-fn-new"
aws secretsmanager put-secret-value --secret-id "$secret" --secret-string "$new" >/dev/null
run scripts/deploy.sh --bucket packages --only app || fail 'the upgrade'
[ "$(follow)" = 400 ] || fail 'an old token is taken although its key is gone'
if [ "$(title)" != 'bitstamp-live query NEW' ] || [ "$(shas)" = "$before" ]; then fail "the new version: $(title)"; fi
ok 'the key of page tokens rotated and the function upgraded, at the same address'

# Control: with the code named in Globals alone, as it once was, the upload holds no program.
cp infra/app.yaml "$work/app.yaml"
sed -i -e '/^      CodeUri: .*query-fn/d' -e 's#^  Function:$#  Function:\n    CodeUri: ../target/lambda/query-fn.zip#' infra/app.yaml
run scripts/deploy.sh --bucket packages --only app && fail 'control: a function without its program passes'
has '^FAULT .* 50[0-9] '
cp "$work/app.yaml" infra/app.yaml
pack "$work/query-fn"
run scripts/deploy.sh --bucket packages --only app || fail 'the way back'
if [ "$(title)" != 'bitstamp-live query API' ] || [ "$(shas)" != "$before" ]; then fail "the old version: $(title)"; fi
ok 'control: a deployment whose zip holds no program fails at its smoke test; then back to the first version'

# shellcheck source=/dev/null
. "$OLDPWD/infra/check/deploy-kinds.sh"
# shellcheck source=/dev/null
. "$OLDPWD/infra/check/deploy-items.sh"

# What is beside the stacks: a daemon outside EC2 with the policy, and the log group that API Gateway makes for itself.
aws iam create-user --user-name daemon >/dev/null
policy=$(aws cloudformation describe-stacks --stack-name bitstamp-live-roles --output text \
    --query "Stacks[0].Outputs[?OutputKey=='IngestorPolicyArn'].OutputValue")
aws iam attach-user-policy --user-name daemon --policy-arn "$policy"
api=$(sed -E 's#https://([a-z0-9]+)\..*#\1#' <<<"$url")
aws logs create-log-group --log-group-name "API-Gateway-Execution-Logs_$api/prod"
run scripts/destroy.sh --yes || fail 'destroy.sh'
has '^the role .* stays: every API of this account'
[ -z "$(aws s3 ls --recursive s3://packages/)" ] || fail 'objects are left in the bucket'
[ -z "$(aws iam list-attached-user-policies --user-name daemon --query 'AttachedPolicies[]' --output text)" ] || fail 'the user has still the policy'
has 'stay; --data deletes them'
[ "$(aws dynamodb scan --table-name bitstamp-live --select COUNT --query Count)" -gt 4 ] || fail 'the events are gone'
echo bitstamp-live | run scripts/destroy.sh --yes --data || fail 'destroy.sh --data'
left=$(aws cloudformation describe-stacks --query 'Stacks[].StackName' --output text
    aws lambda list-functions --query 'Functions[].FunctionName' --output text
    aws dynamodb list-tables --query 'TableNames' --output text
    aws apigateway get-rest-apis --query 'items[].id' --output text
    aws apigateway get-api-keys --query 'items[].id' --output text
    aws logs describe-log-groups --query 'logGroups[].logGroupName' --output text)
[ -z "$(tr -d '[:space:]' <<<"$left")" ] || fail "left behind: $left"
ok 'taken down: first without the table, then with it; no stack, function, API, key, log group is left'
