# Part of infra/check/deploy.sh: the operators' item function, without and with the parameter that turns it on.
# shellcheck shell=bash disable=SC2154

items_of() { # what of the account has to do with the item function
    aws lambda list-functions --query "Functions[?contains(FunctionName, 'items')].FunctionName" --output text
    aws apigatewayv2 get-apis --query "Items[?contains(Name, 'items')].ApiId" --output text
    aws logs describe-log-groups --query "logGroups[?contains(logGroupName, 'items')].logGroupName" --output text
    aws iam list-roles --query "Roles[?contains(RoleName, 'Items')].RoleName" --output text
    aws cloudwatch describe-alarms --query "MetricAlarms[?contains(AlarmName, 'items')].AlarmName" --output text
}
found=$(items_of | tr -s '[:space:]' ' ')
[ -z "${found// /}" ] || fail "without Items=true there is: $found"
run scripts/deploy.sh --bucket packages Items=true || fail 'a deployment with Items=true'
items=$(sed -n 's/^Items for operators: //p' "$work/said")
[ -n "$items" ] || fail 'no address of the item function was printed'
for part in items items-access ItemsRole items-used; do grep -q -- "$part" <<<"$(items_of)" || fail "nothing like $part was made"; done
read_body='{"operation":"echo","payload":{"a":1}}'
ask() { # further arguments of curl
    curl --silent --output "$work/said" --write-out '%{http_code}' --data "$read_body" "$@" "$items/items"
}
[ "$(ask)" = 403 ] || fail 'an unsigned request passes'
[ "$(ask -H "x-api-key: $key")" = 403 ] || fail "the readers' key opens the item function"
status=$(curl --silent --output "$work/said" --write-out '%{http_code}' -H "x-api-key: $key" --data "$read_body" "$url/items")
[ "$status" != 200 ] || fail "the readers' API has a path to the item function"
ok 'the item function: nothing of it without Items=true; with it an unsigned request and the readers'"'"' key are refused'

# The program, at the address that the shim of curl knows.
local_items=$(sed -E "s#^https://([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com#http://127.0.0.1:$port/_aws/execute-api/\1#" <<<"$items")
items() { "$binaries/items" --url "$local_items" --region "$AWS_DEFAULT_REGION" "$@"; }
run items echo '{"a":1}' || fail 'a signed request'
has '^\{"a":1\}$'
echo '{"id": 12345678901234567890123456789012345678, "microtimestamp": "5", "note": "x"}' >"$work/item.json"
run items put "$work/item.json" --yes || fail 'items put'
run items set 12345678901234567890123456789012345678 5 'note="y"' --yes || fail 'items set'
run items get 12345678901234567890123456789012345678 5 || fail 'items get'
has '"id": 12345678901234567890123456789012345678,'
has '"note": "y"'
run items rm 12345678901234567890123456789012345678 5 --yes || fail 'items rm'
run items audit --ascending || fail 'items audit'
[ "$(grep -c '"who":"arn:aws:' "$work/said")" = 3 ] || fail 'the audit does not name who signed'
ok 'the item function: items echo, put, set, get, rm and audit with signatures; each change is recorded with the ARN of who signed'
