#!/usr/bin/env bash
# Deploys bitstamp-live into the AWS account and region that the AWS CLI is set up for, in order: table, roles, query API,
# alarms. May be run again at any time; what has not changed stays.
#
#   scripts/deploy.sh --bucket NAME [options] [PARAMETER=VALUE ...]
#
# Options:
#   --bucket NAME    an S3 bucket of yours in the region, for the function's code and the daemon's package; made if missing
#   --name NAME      the deployment's name [default: bitstamp-live]
#   --table NAME     the table [default: bitstamp-live]
#   --region REGION  [default: the AWS CLI's own]
#   --email ADDRESS  gets the alarms
#   --only PART      data, roles, app or alarms
#   --dry-run        prints each call that would change anything, and makes none
#
# PARAMETER=VALUE goes to the templates that know the parameter, e.g. ApiKind=http Open=true Billing=PROVISIONED
# DaemonMetrics=true; infra/*.yaml describe them.
#
# Before the first deployment: scripts/build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export AWS_PAGER=''

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
wrong() { echo "deploy.sh: $*" >&2; exit 2; }
value() { # option, number of arguments left: fails where nothing follows the option
    [ "$2" -ge 2 ] || wrong "$1 needs a value; see --help"
}

name=bitstamp-live table=bitstamp-live bucket='' region='' email='' only='' dry=''
given=()
while [ $# -gt 0 ]; do
    case $1 in
        --bucket) value "$1" $#; bucket=$2; shift 2 ;;
        --name) value "$1" $#; name=$2; shift 2 ;;
        --table) value "$1" $#; table=$2; shift 2 ;;
        --region) value "$1" $#; region=$2; shift 2 ;;
        --email) value "$1" $#; email=$2; shift 2 ;;
        --only) value "$1" $#; only=$2; shift 2 ;;
        --dry-run) dry=yes; shift ;;
        --help) usage; exit 0 ;;
        -*) wrong "unknown option $1; see --help" ;;
        *=*) given+=("$1"); shift ;;
        *) wrong "$1 is neither an option nor PARAMETER=VALUE; see --help" ;;
    esac
done
case $only in '' | data | roles | app | alarms) ;; *) wrong "--only $only: data, roles, app or alarms" ;; esac
command -v aws >/dev/null || wrong 'the AWS CLI is missing: https://aws.amazon.com/cli'
if [ -n "$region" ]; then export AWS_REGION=$region AWS_DEFAULT_REGION=$region; fi
region=$(aws configure get region 2>/dev/null || true)
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$region}}
[ -n "$region" ] || wrong 'no region: --region'
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }
# What is missing for a later step is said before the first one changes anything.
if wanted app; then
    [ -n "$bucket" ] || wrong 'the function needs --bucket'
    [ -n "$dry" ] || [ -f target/lambda/query-fn.zip ] || wrong 'target/lambda/query-fn.zip is missing: scripts/build.sh'
fi

# Every parameter must belong to some template: a misspelt one would be lost without a word.
for pair in "${given[@]}"; do
    grep -q "^  ${pair%%=*}:$" infra/data.yaml infra/roles.yaml infra/app.yaml infra/alarms.yaml ||
        wrong "no template has a parameter ${pair%%=*}"
done
if account=$(aws sts get-caller-identity --query Account --output text 2>&1); then
    echo "account $account, region $region"
elif [ -n "$dry" ]; then
    echo "region $region; no account can be asked, so this shows what a first deployment does (${account##*$'\n'})"
else
    wrong "no access to an AWS account: ${account##*$'\n'}"
fi
parameters_of() { # template: those of the given ones that it knows
    local block pair
    block=$(sed -n '/^Parameters:/,/^[A-Z].*:$/p' "$1" | grep -oE '^  [A-Za-z0-9]+:' | tr -d ' :')
    for pair in "${given[@]}"; do
        if grep -qx "${pair%%=*}" <<<"$block"; then printf '%s\n' "$pair"; fi
    done
}
parameter() { # name, default: its value among the given ones
    local pair value=$2
    for pair in "${given[@]}"; do [ "${pair%%=*}" != "$1" ] || value=${pair#*=}; done
    printf '%s' "$value"
}
change() { # a call that changes something
    printf '+'; printf ' %q' "$@"; echo
    [ -n "$dry" ] || "$@"
}
output() { # stack, output: its value, empty where there is no such stack yet
    aws cloudformation describe-stacks --stack-name "$1" --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue | [0]" \
        --output text 2>/dev/null | grep -vx None || true
}
deploy() { # part, template, parameters
    local part=$1 template=$2 own through=()
    shift 2
    # The others are small enough (51,200 bytes) to be sent along with the call.
    [ "$part" != app ] || through=(--s3-bucket "$bucket" --s3-prefix "$name/templates")
    mapfile -t own < <(parameters_of "infra/$part.yaml")
    change aws cloudformation deploy --region "$region" --stack-name "$name-$part" --template-file "$template" \
        --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset --tags project=bitstamp-live \
        "${through[@]}" --parameter-overrides "$@" "${own[@]}"
}

# First, so that a name that is taken or wrong stops here, before anything is deployed.
if [ -n "$bucket" ] && ! aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
    change aws s3 mb "s3://$bucket" --region "$region"
    change aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
fi

if wanted data; then
    deploy data infra/data.yaml "TableName=$table"
fi

if wanted roles; then
    # One role for the logs of all APIs of an account and region: made here only where there is none.
    gateway=$(aws apigateway get-account --region "$region" --query cloudwatchRoleArn --output text 2>/dev/null || true)
    made=$(aws cloudformation describe-stack-resource --region "$region" --stack-name "$name-roles" \
        --logical-resource-id GatewayAccount --query StackResourceDetail.ResourceStatus --output text 2>/dev/null || true)
    if [ -z "$gateway" ] || [ "$gateway" = None ] || [ -n "$made" ]; then make=true; else make=false; fi
    deploy roles infra/roles.yaml "Name=$name" "TableName=$table" "GatewayLogRole=$make" \
        ${bucket:+"PackageBucket=$bucket"} "MetricsFromVm=$(parameter DaemonMetrics false)"
fi

if wanted app; then
    change aws cloudformation package --region "$region" --template-file infra/app.yaml --s3-bucket "$bucket" \
        --s3-prefix "$name/code" --output-template-file target/lambda/app.packaged.yaml
    role=$(output "$name-roles" QueryRoleArn)
    # The secret's newest version, so that a rotated key reaches the function.
    secret=$(output "$name-app" TokenKeysArn) version=
    if [ -n "$secret" ]; then
        version=$(aws secretsmanager get-secret-value --region "$region" --secret-id "$secret" --query VersionId \
            --output text)
    fi
    deploy app target/lambda/app.packaged.yaml "Name=$name" "TableName=$table" \
        "QueryRoleArn=${role:-<QueryRoleArn of $name-roles>}" ${version:+"TokenKeysVersion=$version"}
    if [ -f target/packages/bitstamp-live_arm64.deb ]; then
        change aws s3 cp target/packages/bitstamp-live_arm64.deb "s3://$bucket/$name/packages/"
    fi
fi

if wanted alarms; then
    http=$(output "$name-app" HttpApiId)
    deploy alarms infra/alarms.yaml "Name=$name" "TableName=$table" ${email:+"Email=$email"} ${http:+"HttpApiId=$http"}
fi

[ -z "$dry" ] || { echo 'dry run: nothing was changed'; exit 0; }
url=$(output "$name-app" Url)
[ -n "$url" ] || exit 0
printf '\nThe API: %s\n' "$url"
from=$(date -u -d '1 hour ago' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v-1H +%Y-%m-%dT%H:%M:%SZ)
request="$url/bitstamp?channel=live_trades_btcusd&from=$from&limit=3"
key=$(output "$name-app" ApiKeyId)
if [ -n "$key" ]; then
    cat <<END
Its first key:  key=\$(aws apigateway get-api-key --region $region --include-value --api-key $key --query value --output text)
First request:  curl -H "x-api-key: \$key" '$request'
END
elif [ "$(parameter ApiKind rest)" = http ] && [ "$(parameter Open false)" = false ]; then
    echo "First request:  curl --aws-sigv4 aws:amz:$region:execute-api --user \"\$AWS_ACCESS_KEY_ID:\$AWS_SECRET_ACCESS_KEY\" '$request'"
else
    echo "First request:  curl '$request'"
fi
echo 'The daemon comes next: docs/operations.md, first deployment'
