# What scripts/deploy.sh asks and does in AWS; part of it, in a file of its own.
# shellcheck shell=bash disable=SC2154

look() { # part: asks for its stack; its status, outputs and parameters are then known
    local rows
    rows=$(aws cloudformation describe-stacks --stack-name "$name-$1" --output text --query \
        "Stacks[0].[[['status','is',StackStatus]], Outputs[].['output',OutputKey,OutputValue], Parameters[].['parameter',ParameterKey,ParameterValue]][]" \
        2>/dev/null) || rows=
    printf -v "seen_$1" %s "$rows"
}
found() { # part, kind of row, key: its value in what was seen, empty where there is none
    local seen=seen_$1
    sed -n "s/^$2$(printf '\t')$3$(printf '\t')//p" <<<"${!seen:-}" | grep -vx None || true
}
exists() { # part: whether its stack can be updated; one whose creation failed, or that only a change set made, cannot
    case $(found "$1" status is) in '' | ROLLBACK_COMPLETE | ROLLBACK_FAILED | CREATE_FAILED | REVIEW_IN_PROGRESS) return 1 ;; esac
}
output() { found "$1" output "$2"; } # part, output
kept() { # part, parameter: what it was last told
    if exists "$1"; then found "$1" parameter "$2"; fi
}
parameters_of() { # template: those of the given ones that it knows
    local block pair
    block=$(sed -n '/^Parameters:/,/^[A-Z].*:$/p' "$1" | grep -oE '^  [A-Za-z0-9]+:' | tr -d ' :')
    for pair in ${given[@]+"${given[@]}"}; do
        if grep -qx "${pair%%=*}" <<<"$block"; then printf '%s\n' "$pair"; fi
    done
}
parameter() { # name, default: its value among the given ones
    local pair value=$2
    for pair in ${given[@]+"${given[@]}"}; do [ "${pair%%=*}" != "$1" ] || value=${pair#*=}; done
    printf '%s' "$value"
}
release() { # pairs that are sent: a name for all that the functions are made of
    local each value
    {
        cat infra/app.yaml
        for each in query-fn items-fn; do [ ! -f "target/lambda/$each.zip" ] || cat "target/lambda/$each.zip"; done
        printf '%s\n' "$@"
        for each in CorsOrigins DataVersion Memory Tracing SubnetIds SecurityGroupIds; do
            value=$(kept app "$each")
            # A first deployment has the template's own.
            exists app || value=$(sed -n "/^  $each:/,/^  [A-Z]/s/^    Default: *//p" infra/app.yaml | tr -d "'")
            printf '%s=%s\n' "$each" "$(parameter "$each" "$value")"
        done
    } | sha256 | cut -c1-16
}
sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
reserve_for_exports() { # at the first deployment, where nothing was said
    local free
    if [ -n "$(kept app ExportConcurrency)$(parameter ExportConcurrency '')$offline" ]; then return; fi
    free=$(aws lambda get-account-settings --query AccountLimit.UnreservedConcurrentExecutions --output text 2>/dev/null || true)
    case $free in '' | *[!0-9]*) return ;; esac
    # Lambda keeps 100 for what sets nothing aside.
    if [ "$free" -ge 120 ]; then
        echo 'at most 10 exports run at once (ExportConcurrency), so that they leave the account room for everything else'
        given+=(ExportConcurrency=10)
    else
        echo "this account may run $free functions at once, too few to set 10 aside for exports (ExportConcurrency)"
    fi
}
change() { # a call that changes something
    printf '+'; printf ' %q' "$@"; echo
    [ -n "$dry" ] || "$@"
}
check_table() { # name: a table that is there must be one that the programs can use
    local keys
    [ -z "$offline" ] || return 0
    keys=$(aws dynamodb describe-table --table-name "$1" --output text --query \
        "Table.[KeySchema[].AttributeName, (GlobalSecondaryIndexes || \`[]\`)[?IndexName=='channel-nmicrotimestamp-index'].[KeySchema[].AttributeName, [IndexStatus || 'ACTIVE']][][]][]" \
        2>&1) || wrong "the table $1: ${keys##*$'\n'}"
    keys=$(tr -s '\t\n' '  ' <<<"$keys")
    [ "${keys% }" = 'id microtimestamp channel nmicrotimestamp ACTIVE' ] ||
        wrong "the table $1 needs the keys id, microtimestamp and an active index channel-nmicrotimestamp-index of channel, nmicrotimestamp; it has: ${keys}(scripts/backfill migrates an older table)"
}
deploy() { # part, template, parameters
    local part=$1 template=$2 call line more=()
    shift 2
    while IFS= read -r line; do more+=("$line"); done < <(parameters_of "infra/$part.yaml")
    call=(aws cloudformation deploy --region "$region" --stack-name "$name-$part" --template-file "$template"
        --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset --tags project=bitstamp-live)
    # The others are small enough (51,200 bytes) to be sent along with the call.
    [ "$part" != app ] || call+=(--s3-bucket "$bucket" --s3-prefix "$name/templates")
    call+=(--parameter-overrides "$@" ${more[@]+"${more[@]}"})
    if [ -n "$dry" ] && exists "$part" && [ -f "$template" ]; then
        changes "$name-$part" "${call[@]}"
    else
        if [ -n "$(found "$part" status is)" ] && ! exists "$part"; then
            # Nothing is lost: what such a stack had made was taken back when its creation failed.
            change aws cloudformation delete-stack --region "$region" --stack-name "$name-$part"
            change aws cloudformation wait stack-delete-complete --region "$region" --stack-name "$name-$part"
        fi
        change "${call[@]}"
        [ -n "$dry" ] || look "$part"
    fi
}
changes() { # stack, the call that would deploy it: what CloudFormation says it would change
    local stack=$1 said set
    shift
    said=$("$@" --no-execute-changeset 2>&1) || { printf '%s\n' "$said" >&2; wrong "no change set for $stack"; }
    set=$(grep -oE 'arn:[^ ]+:changeSet/[^ "]+' <<<"$said" | tail -n 1 || true)
    if [ -z "$set" ]; then echo "$stack: no changes"; return; fi
    echo "$stack:"
    aws cloudformation describe-change-set --change-set-name "$set" --output text --query \
        'Changes[].ResourceChange.[Action, LogicalResourceId, ResourceType, Replacement]' | sed 's/^/    /'
    aws cloudformation delete-change-set --change-set-name "$set" >/dev/null
}
first_request() {
    local from request key
    from=$(date -u -d '1 hour ago' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v-1H +%Y-%m-%dT%H:%M:%SZ)
    request="$url/bitstamp?channel=live_trades_btcusd&from=$from&limit=3"
    key=$(output app ApiKeyId)
    case $(output app Access) in
        key)
            echo "Its first key:  key=\$(aws apigateway get-api-key --region $region --include-value --api-key $key --query value --output text)"
            echo "First request:  curl -H \"x-api-key: \$key\" '$request'"
            ;;
        iam)
            echo "First request:  curl --aws-sigv4 aws:amz:$region:execute-api --user \"\$AWS_ACCESS_KEY_ID:\$AWS_SECRET_ACCESS_KEY\" '$request'"
            echo "(with credentials of a role also: -H \"x-amz-security-token: \$AWS_SESSION_TOKEN\")"
            ;;
        jwt) echo "First request:  curl -H \"authorization: Bearer \$token\" '$request'" ;;
        *) echo "First request:  curl '$request'" ;;
    esac
}
smoke_test() {
    local key='' rights=()
    if [ "$(kept app EndpointType)" = PRIVATE ]; then
        echo "The API is private. From within its VPC: scripts/smoke.sh $url"
        return
    fi
    case $(output app Access) in
        key) key=$(aws apigateway get-api-key --region "$region" --include-value --api-key "$(output app ApiKeyId)" --query value --output text) ;;
        # Credentials that are no variables, smoke.sh would have to be given.
        iam) [ -z "${AWS_ACCESS_KEY_ID:-}" ] || rights=(--sign "$region") ;;
    esac
    scripts/smoke.sh ${rights[@]+"${rights[@]}"} "$url" ${key:+"$key"} || {
        echo "deploy.sh: everything is deployed, but the API does not answer as it should" >&2
        exit 1
    }
}
