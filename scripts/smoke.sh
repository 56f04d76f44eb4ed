#!/usr/bin/env bash
# Asks a deployed query API what its readers will ask, one line for each answer: status, time, what was wrong with it. Changes nothing.
#
#   scripts/smoke.sh [options] URL [KEY]
#
# URL is the API's address with its stage, KEY an API key for an API that asks for one.
#
# Options:
#   --sign REGION    signs each request with the AWS CLI's credentials, for an API that asks for AWS_IAM
#   --bearer TOKEN   sends a JSON Web Token, for an API that asks for one
#   --channel NAME   [default: the first of /channels; live_trades_btcusd in an empty table]
#   --from TIME      asks for events from then on [default: the beginning]
#   --require        an empty table, or an API that refuses these credentials, is a fault too
#   --within SECONDS every answer but the export's must come within this time [default: 30]
#   --wait SECONDS   a new API may need so long until it knows itself and its keys [default: 60]
#
# Exit code 0: every answer was right; 1: one was not; 2: called wrongly.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; }
wrong() { echo "smoke.sh: $*" >&2; exit 2; }
url='' key='' sign='' bearer='' channel='' from='' require='' within=30 wait=60
while [ $# -gt 0 ]; do
    case $1 in
        --sign | --bearer | --channel | --from | --within | --wait)
            [ $# -ge 2 ] || wrong "$1 needs a value; see --help"
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        --require) require=yes; shift ;;
        --help) usage; exit 0 ;;
        -*) wrong "unknown option $1; see --help" ;;
        *)
            if [ -z "$url" ]; then url=${1%/}; elif [ -z "$key" ]; then key=$1; else wrong "too many arguments; see --help"; fi
            shift
            ;;
    esac
done
[ -n "$url" ] || wrong 'which URL? See --help'
command -v curl >/dev/null || wrong 'curl is missing'

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# In a file of its own, so that no secret stands in the list of processes.
touch "$scratch/rights"
chmod 600 "$scratch/rights"
if [ -n "$key" ]; then printf 'header = "x-api-key: %s"\n' "$key" >"$scratch/rights"; fi
if [ -n "$bearer" ]; then printf 'header = "authorization: Bearer %s"\n' "$bearer" >"$scratch/rights"; fi
if [ -n "$sign" ]; then
    if [ -z "${AWS_ACCESS_KEY_ID:-}" ]; then
        found=$(aws configure export-credentials --format env 2>/dev/null) || wrong '--sign: the AWS CLI has no credentials'
        eval "$found"
    fi
    {
        printf 'aws-sigv4 = "aws:amz:%s:execute-api"\nuser = "%s:%s"\n' "$sign" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"
        [ -z "${AWS_SESSION_TOKEN:-}" ] || printf 'header = "x-amz-security-token: %s"\n' "$AWS_SESSION_TOKEN"
    } >"$scratch/rights"
fi

faults=0
status='' seconds=''
ask() { # path with query, more options of curl; with our rights. Sets status and seconds; body and headers are files
    local said
    said=$(curl --silent --max-time "$within" --config "$scratch/rights" --dump-header "$scratch/headers" --output "$scratch/body" \
        --write-out '%{http_code} %{time_total}' "${@:2}" "$url$1") || true
    status=${said%% *} seconds=${said##* }
}
without() { # as ask, without any rights
    local said
    said=$(curl --silent --max-time "$within" --dump-header "$scratch/headers" --output "$scratch/body" \
        --write-out '%{http_code} %{time_total}' "${@:2}" "$url$1") || true
    status=${said%% *} seconds=${said##* }
}
body_has() { grep -q -- "$1" "$scratch/body" 2>/dev/null; }
header() { sed -n "s/^$1: *//Ip" "$scratch/headers" 2>/dev/null | tr -d '\r' | tail -n 1; }
say() { printf '%-7s %-28s %s  %s s  %s\n' "$1" "$2" "${status:-000}" "${seconds:-0}" "$3"; }
right() { say ok "$1" "${2:-}"; }
fault() {
    faults=$((faults + 1))
    say FAULT "$1" "$2: $(head -c 300 "$scratch/body" 2>/dev/null | tr '\n' ' ')"
}
expect() { # name, status, pattern in the body, remark
    if [ "$status" = "$2" ] && { [ -z "${3:-}" ] || body_has "$3"; }; then right "$1" "${4:-}"; else fault "$1" "wanted $2 ${3:-}"; fi
}
finish() {
    if [ "$faults" -eq 0 ]; then echo "smoke test: $url answers as it should"; exit 0; fi
    echo "smoke test: $faults of the answers of $url are wrong" >&2
    exit 1
}

deadline=$((SECONDS + wait))
while without /health; [ "$status" != 200 ] && [ $SECONDS -lt $deadline ]; do sleep 1; done
expect health 200 '"ok"'
[ "$faults" -eq 0 ] || finish

# A key takes a while until every part of the gateway knows it.
while ask /channels; [ "$status" = 403 ] && [ -n "$key$sign$bearer" ] && [ $SECONDS -lt $deadline ]; do sleep 1; done
case $status in
    401 | 403)
        if [ -n "$require$key$sign$bearer" ]; then fault channels 'refused'; else right channels 'asks for a key, a signature or a token; the rest was not asked'; fi
        finish
        ;;
esac
expect channels 200 '"Items"'
if [ -z "$channel" ]; then
    channel=$(grep -oE '"channel":"[a-z0-9_-]+"' "$scratch/body" 2>/dev/null | head -n 1 | cut -d'"' -f4 || true)
    channel=${channel:-live_trades_btcusd}
fi

range="channel=$channel&order=asc${from:+&from=$from}"
ask "/bitstamp?$range&limit=1"
token=$(header last-evaluated-key)
if [ "$status" = 200 ] && body_has '"Count":1,'; then
    right page "an event of $channel"
elif [ -n "$require" ]; then
    fault page 'no event'
elif [ "$status" = 200 ] || { [ "$status" = 404 ] && body_has '"type"'; }; then
    right page "no event of $channel yet"
else
    fault page 'wanted 200'
fi
cp "$scratch/body" "$scratch/first"
if [ -n "$token" ]; then
    ask "/bitstamp?$range&limit=1&ExclusiveStartKey=$token"
    if [ "$status" = 200 ] && body_has '"Items":\[' && ! cmp -s "$scratch/first" "$scratch/body"; then
        right 'the next page'
    else
        fault 'the next page' 'wanted 200 and another event'
    fi
    # A letter of the token's signature.
    case $token in *A) forged=${token%?}B ;; *) forged=${token%?}A ;; esac
    ask "/bitstamp?$range&limit=1&ExclusiveStartKey=${forged%????}AAAA"
    expect 'a forged token' 400 '"type"'
    ask "/export?$range" --max-time 900
    if [ "$status" = 200 ] && body_has "\"channel\":\"$channel\""; then
        right export "$(wc -l <"$scratch/body" | tr -d ' ') lines"
    else
        fault export 'wanted 200 and events'
    fi
elif [ -n "$require" ]; then
    fault 'the next page' 'the first page named none'
fi

ask '/bitstamp?limit=1'
expect 'no channel' 400 '"type"'
ask '/no/such/path'
# API Gateway tells a signed request for such a path no more than an unsigned one.
if [ -n "$sign" ] && [ "$status" = 403 ]; then unknown=403; else unknown=404; fi
expect 'a path that is not there' $unknown '"type"'
if [ -n "$key$sign$bearer" ]; then
    without "/bitstamp?$range&limit=1"
    case $status in
        401 | 403) right 'without rights' refused ;;
        *) fault 'without rights' 'wanted 401 or 403' ;;
    esac
fi
without '/bitstamp' --request OPTIONS --header 'Origin: https://example.com' --header 'Access-Control-Request-Method: GET' \
    --header 'Access-Control-Request-Headers: x-api-key'
case $status in
    200 | 204)
        allowed=$(header access-control-allow-origin)
        if [ -n "$allowed" ]; then right preflight "for $allowed"; else right preflight 'example.com may not read'; fi
        ;;
    *) fault preflight 'wanted 200 or 204' ;;
esac
finish
