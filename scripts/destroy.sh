#!/usr/bin/env bash
# Takes a deployment down: alarms, query API, roles. The table stays, with everything in it, unless --data is given.
#
#   scripts/destroy.sh [options]
#
# Options:
#   --name NAME      the deployment's name [default: bitstamp-live]
#   --table NAME     the table that --data deletes [default: the deployment's own]
#   --region REGION  [default: the AWS CLI's own]
#   --data           delete the table too, for good; asks for its name, even with --yes
#   --yes            do not ask before deleting what can be deployed again
#   --dry-run        prints each call that would change anything, and makes none
#
# With them go what was made beside them: attachments of their policies to users, groups and other roles, the gateway's execution
# logs, and the code and packages in the bucket. Stop the daemon first (systemctl stop bitstamp-live); a VM stack ($NAME-vm) is left
# alone, because its disk may hold events that are not in the table yet, and with it the packages.
set -euo pipefail
cd "$(dirname "$0")/.."
export AWS_PAGER=''

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; }
wrong() { echo "destroy.sh: $*" >&2; exit 2; }
value() { # option, number of arguments left: fails where nothing follows the option
    [ "$2" -ge 2 ] || wrong "$1 needs a value; see --help"
}

name=bitstamp-live table='' region='' data='' yes='' dry=''
while [ $# -gt 0 ]; do
    case $1 in
        --name) value "$1" $#; name=$2; shift 2 ;;
        --table) value "$1" $#; table=$2; shift 2 ;;
        --region) value "$1" $#; region=$2; shift 2 ;;
        --data) data=yes; shift ;;
        --yes) yes=yes; shift ;;
        --dry-run) dry=yes; shift ;;
        --help) usage; exit 0 ;;
        *) wrong "unknown argument $1; see --help" ;;
    esac
done
command -v aws >/dev/null || wrong 'the AWS CLI is missing: https://aws.amazon.com/cli'
[ -n "$region" ] || region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region 2>/dev/null || true)}}
[ -n "$region" ] || wrong 'no region: --region'
# Version 1 of the AWS CLI reads the one, version 2 and the SDKs the other.
export AWS_REGION=$region AWS_DEFAULT_REGION=$region
if account=$(aws sts get-caller-identity --query Account --output text 2>&1); then
    echo "account $account, region $region"
elif [ -n "$dry" ]; then
    echo "region $region; no account can be asked (${account##*$'\n'})"
else
    wrong "no access to an AWS account: ${account##*$'\n'}"
fi

change() { # a call that changes something
    printf '+'; printf ' %q' "$@"; echo
    # The calls answer with whole descriptions.
    [ -n "$dry" ] || "$@" >/dev/null
}
exists() { # stack; what cannot be known ends the script
    local said
    if said=$(aws cloudformation describe-stacks --stack-name "$1" 2>&1 >/dev/null); then return 0; fi
    case $said in *'does not exist'*) return 1 ;; esac
    echo "destroy.sh: ${said##*$'\n'}" >&2
    exit 1
}
confirm() { # question, the answer that means yes
    local answer
    [ -z "$dry" ] || return 0
    printf '%s ' "$1"
    read -r answer || answer=''
    [ "$answer" = "$2" ] || { echo 'nothing was deleted' >&2; exit 1; }
}
of() { # stack, query: what it says, empty where there is no such stack
    aws cloudformation describe-stacks --stack-name "$1" --query "$2" --output text 2>/dev/null | grep -vx None || true
}
delete() {
    if [ -n "$dry" ] || exists "$1"; then
        change aws cloudformation delete-stack --stack-name "$1"
        change aws cloudformation wait stack-delete-complete --stack-name "$1"
    else
        echo "  $1 is not there"
    fi
}

[ -n "$yes" ] || confirm "Delete alarms, query API and roles of $name? The API's address and keys will be gone. [yes/no]" yes
own=$(of "$name-data" "Stacks[0].Outputs[?OutputKey=='TableName'].OutputValue | [0]")
table=${table:-$own}
[ -z "$data" ] || [ -n "$table" ] || [ -n "$dry" ] || wrong "$name has no table of its own; --table NAME says which one is meant"
# Both before anything goes: who wants the data kept by mistake should not lose the rest.
[ -z "$data" ] || confirm "Delete table $table with ALL its events, for good? Type its name:" "$table"

delete "$name-alarms"

api=$(of "$name-app" "Stacks[0].Outputs[?OutputKey=='Url'].OutputValue | [0]" | sed -nE 's#^https://([a-z0-9]+)\..*#\1#p')
delete "$name-app"
# API Gateway made it, not the stack.
if [ -n "$api" ] && [ -n "$(aws logs describe-log-groups --log-group-name-prefix "API-Gateway-Execution-Logs_$api/prod" \
    --query 'logGroups[].logGroupName' --output text 2>/dev/null)" ]; then
    change aws logs delete-log-group --log-group-name "API-Gateway-Execution-Logs_$api/prod"
fi

bucket=$(of "$name-roles" "Stacks[0].Parameters[?ParameterKey=='PackageBucket'].ParameterValue | [0]")
if [ -n "$bucket" ]; then
    if [ -n "$(of "$name-vm" 'Stacks[0].StackStatus')" ]; then
        echo "s3://$bucket/$name/ stays: $name-vm is still there, and a new instance of it fetches its package"
    else
        change aws s3 rm --only-show-errors --recursive "s3://$bucket/$name/"
        echo "the bucket $bucket itself stays"
    fi
fi

# Who has a policy of the stack without being part of it, e.g. the user of a daemon outside EC2; IAM would refuse to delete it.
for policy in $(aws cloudformation describe-stack-resources --stack-name "$name-roles" --output text 2>/dev/null \
    --query "StackResources[?ResourceType=='AWS::IAM::ManagedPolicy'].PhysicalResourceId" || true); do
    for kind in User Group Role; do
        for entity in $(aws iam list-entities-for-policy --policy-arn "$policy" --query "Policy${kind}s[].${kind}Name" --output text); do
            case $entity in "$name"-roles-*) continue ;; esac
            lower=$(tr '[:upper:]' '[:lower:]' <<<"$kind")
            change aws iam "detach-$lower-policy" "--$lower-name" "$entity" --policy-arn "$policy"
        done
    done
done
logs=$(aws cloudformation describe-stack-resource --stack-name "$name-roles" --logical-resource-id GatewayLogs \
    --query StackResourceDetail.PhysicalResourceId --output text 2>/dev/null || true)
delete "$name-roles"
if [ -n "$logs" ]; then
    echo "the role $logs stays: every API of this account and region writes its logs with it (aws apigateway get-account)"
fi

if [ -n "$data" ]; then
    # The stack keeps the table, so the table is deleted by itself, and first: a protected one stops here.
    said=
    [ -n "$dry" ] || said=$(aws dynamodb describe-table --table-name "$table" 2>&1 >/dev/null) || true
    if [[ $said = *ResourceNotFoundException* ]]; then
        echo "  table $table is not there"
    else
        change aws dynamodb update-table --table-name "$table" --no-deletion-protection-enabled
        change aws dynamodb wait table-exists --table-name "$table"
        change aws dynamodb delete-table --table-name "$table"
        change aws dynamodb wait table-not-exists --table-name "$table"
    fi
    delete "$name-data"
else
    if [ -n "$own" ]; then echo "table $own and its stack $name-data stay; --data deletes them"; fi
fi
[ -z "$dry" ] || echo 'dry run: nothing was changed'
