#!/usr/bin/env bash
# Deploys bitstamp-live into the AWS account and region that the AWS CLI is set up for, in order: table, roles, query API,
# alarms; then asks the API what its readers will ask (scripts/smoke.sh). May be run again at any time, also after a failure: what
# has not changed stays, and what a deployment was told is kept until it is told something else.
#
#   scripts/deploy.sh --bucket NAME [options] [PARAMETER=VALUE ...]
#
# Options:
#   --bucket NAME    an S3 bucket of yours in the region, for the function's code and the daemon's package; made if missing
#   --name NAME      the deployment's name [default: bitstamp-live]
#   --table NAME     the table, made if missing [default: the deployment's own; at first bitstamp-live]
#   --existing-table NAME  a table that is there already and that this deployment does not own: its keys and its index are checked,
#                    and roles, API and alarms are pointed at it
#   --region REGION  [default: the AWS CLI's own]
#   --email ADDRESS  gets the alarms
#   --only PART      data, roles, app or alarms
#   --no-smoke       does not ask the API
#   --dry-run        shows what would change and changes nothing; for a stack that is there it asks CloudFormation, which needs the
#                    function's code in the bucket: that is uploaded
#
# PARAMETER=VALUE goes to the templates that know the parameter, e.g. ApiKind=http Open=true Billing=PROVISIONED
# DaemonMetrics=true Items=true; infra/*.yaml describe them.
#
# Before the first deployment: scripts/build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export AWS_PAGER=''

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; }
wrong() { echo "deploy.sh: $*" >&2; exit 2; }
value() { # option, number of arguments left: fails where nothing follows the option
    [ "$2" -ge 2 ] || wrong "$1 needs a value; see --help"
}

name=bitstamp-live table='' existing='' bucket='' region='' email='' only='' dry='' smoke=yes
given=()
while [ $# -gt 0 ]; do
    case $1 in
        --bucket) value "$1" $#; bucket=$2; shift 2 ;;
        --name) value "$1" $#; name=$2; shift 2 ;;
        --table) value "$1" $#; table=$2; shift 2 ;;
        --existing-table) value "$1" $#; existing=$2; shift 2 ;;
        --region) value "$1" $#; region=$2; shift 2 ;;
        --email) value "$1" $#; email=$2; shift 2 ;;
        --only) value "$1" $#; only=$2; shift 2 ;;
        --no-smoke) smoke=''; shift ;;
        --dry-run) dry=yes; shift ;;
        --help) usage; exit 0 ;;
        -*) wrong "unknown option $1; see --help" ;;
        *=*) given+=("$1"); shift ;;
        *) wrong "$1 is neither an option nor PARAMETER=VALUE; see --help" ;;
    esac
done
case $only in '' | data | roles | app | alarms) ;; *) wrong "--only $only: data, roles, app or alarms" ;; esac
[ -z "$table" ] || [ -z "$existing" ] || wrong '--table makes a table, --existing-table takes one: only one of them'
[ -z "$existing" ] || [ "$only" != data ] || wrong '--existing-table: the deployment has no table of its own, so nothing of data'
command -v aws >/dev/null || wrong 'the AWS CLI is missing: https://aws.amazon.com/cli'
[ -n "$region" ] || region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region 2>/dev/null || true)}}
[ -n "$region" ] || wrong 'no region: --region'
# Version 1 of the AWS CLI reads the one, version 2 and the SDKs the other.
export AWS_REGION=$region AWS_DEFAULT_REGION=$region
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }
# What is missing for a later step is said before the first one changes anything.
if wanted app; then
    [ -n "$bucket" ] || wrong 'the function needs --bucket'
    for function in query-fn items-fn; do
        [ -n "$dry" ] || [ -f "target/lambda/$function.zip" ] || wrong "target/lambda/$function.zip is missing: scripts/build.sh"
    done
fi

# Every parameter must belong to some template: a misspelt one would be lost without a word. (An empty array is no error to bash 3.2
# only in this form.)
for pair in ${given[@]+"${given[@]}"}; do
    case ${pair%%=*} in Name | TableName | QueryRoleArn | ItemsRoleArn | TokenKeysVersion | Release) wrong "$pair: there is an option for it, or deploy.sh knows it" ;; esac
    grep -q "^  ${pair%%=*}:$" infra/data.yaml infra/roles.yaml infra/app.yaml infra/alarms.yaml ||
        wrong "no template has a parameter ${pair%%=*}"
done
offline=
if account=$(aws sts get-caller-identity --query Account --output text 2>&1); then
    echo "account $account, region $region"
elif [ -n "$dry" ]; then
    offline=yes
    echo "region $region; no account can be asked, so this shows what a first deployment does (${account##*$'\n'})"
else
    wrong "no access to an AWS account: ${account##*$'\n'}"
fi
# shellcheck source=scripts/deploy-lib.sh
. scripts/deploy-lib.sh

for part in data roles app alarms; do look $part; done
# The table of this deployment's own, and the one that roles, API and alarms were last pointed at.
own=$(output data TableName) last=$(kept roles TableName)
makes_table=yes
if [ -n "$existing" ]; then
    check_table "$existing"
    target=$existing makes_table=
elif [ -n "$own" ]; then
    [ -z "$table" ] || [ "$table" = "$own" ] ||
        wrong "this deployment's table is $own; another one that is there already: --existing-table $table; a new one: another --name"
    target=${table:-${last:-$own}}
elif [ -z "$table" ] && [ -n "$last" ]; then
    [ "$only" != data ] || wrong "this deployment has no table of its own, it uses $last"
    target=$last makes_table=
else
    target=${table:-bitstamp-live}
    if wanted data && [ -z "$offline" ] && aws dynamodb describe-table --table-name "$target" >/dev/null 2>&1; then
        wrong "there is a table $target that is not this deployment's: --existing-table $target uses it, --table NAME makes another"
    fi
fi

# First, so that a name that is taken or wrong stops here, before anything is deployed.
if [ -n "$bucket" ] && ! aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
    change aws s3 mb "s3://$bucket" --region "$region"
    change aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
fi

if wanted data && [ -n "$makes_table" ]; then
    deploy data infra/data.yaml "TableName=${own:-$target}"
fi

if wanted roles; then
    # One role for the logs of all APIs of an account and region: made here only where there is none.
    gateway=$(aws apigateway get-account --region "$region" --query cloudwatchRoleArn --output text 2>/dev/null || true)
    made=$(aws cloudformation describe-stack-resource --region "$region" --stack-name "$name-roles" \
        --logical-resource-id GatewayAccount --query StackResourceDetail.ResourceStatus --output text 2>/dev/null || true)
    if [ -z "$gateway" ] || [ "$gateway" = None ] || [ -n "$made" ]; then make=true; else make=false; fi
    # Only where it was given: a parameter that is not sent keeps the value of the last deployment.
    metrics=$(parameter DaemonMetrics '')
    # A function inside a VPC needs network interfaces. Never taken back: Lambda removes the last ones long after a function has left.
    inside=$(parameter SubnetIds '')
    deploy roles infra/roles.yaml "Name=$name" "TableName=$target" "GatewayLogRole=$make" \
        ${bucket:+"PackageBucket=$bucket"} ${metrics:+"MetricsFromVm=$metrics"} ${inside:+FunctionInVpc=true}
fi

if wanted app; then
    role=$(output roles QueryRoleArn) items=$(output roles ItemsRoleArn)
    [ -n "$role$dry" ] || wrong "there is no stack $name-roles: deploy the roles first, with --only roles"
    package=(aws cloudformation package --region "$region" --template-file infra/app.yaml --s3-bucket "$bucket"
        --s3-prefix "$name/code" --output-template-file target/lambda/app.packaged.yaml)
    # A change set of a stack that is there needs the code where it will be.
    if [ -n "$dry" ] && exists app && [ -f target/lambda/query-fn.zip ] && [ -f target/lambda/items-fn.zip ]; then "${package[@]}" >/dev/null; else change "${package[@]}"; fi
    # The secret's newest version, so that a rotated key reaches the function.
    secret=$(output app TokenKeysArn) version=
    if [ -n "$secret" ]; then
        version=$(aws secretsmanager get-secret-value --region "$region" --secret-id "$secret" --query VersionId \
            --output text)
    fi
    reserve_for_exports
    known=("TableName=$target" "QueryRoleArn=${role:-<QueryRoleArn of $name-roles>}" ${items:+"ItemsRoleArn=$items"}
        ${version:+"TokenKeysVersion=$version"})
    deploy app target/lambda/app.packaged.yaml "Name=$name" "${known[@]}" "Release=$(release "${known[@]}")"
    if [ -f target/packages/bitstamp-live_arm64.deb ]; then
        change aws s3 cp --no-progress target/packages/bitstamp-live_arm64.deb "s3://$bucket/$name/packages/"
    fi
fi

if wanted alarms; then
    http=$(output app HttpApiId)
    kind=$(kept app ApiKind)
    deploy alarms infra/alarms.yaml "Name=$name" "TableName=$target" "ApiKind=${kind:-$(parameter ApiKind rest)}" \
        ${email:+"Email=$email"} ${http:+"HttpApiId=$http"}
fi

[ -z "$dry" ] || { echo 'dry run: nothing was changed'; exit 0; }
url=$(output app Url)
[ -n "$url" ] || exit 0
printf '\nThe API: %s\n' "$url"
first_request
items=$(output app ItemsUrl)
if [ -n "$items" ]; then echo "Items for operators: $items"; fi
echo 'The daemon comes next: docs/operations.md, first deployment'
if [ -n "$smoke" ] && wanted app; then
    echo
    smoke_test
fi
