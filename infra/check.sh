#!/usr/bin/env bash
# Checks everything in infra/ without an account: templates, contract, policies, a whole deployment in an emulator, container, unit, dashboard,
# scripts.
#
#   infra/check.sh             installs the checkers into a temporary folder and runs them
#   CHECKERS=DIR infra/check.sh   keeps them in DIR for the next time (1.3 GB)
#   CHECKERS=DIR infra/check.sh --install   only installs them
#
# Needs python3 with venv, npm (for cfn-guard and its rules), apt-get (for promtool) and a network for the installation only. What cannot
# run here says so in a line that begins with SKIPPED. The deployment takes four to fifteen minutes.
set -euo pipefail
only_install=
case ${1:-} in
    '') ;;
    --install) only_install=yes ;;
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "infra/check.sh: unknown argument $1; see --help" >&2; exit 2 ;;
esac
[ -z "$only_install" ] || [ -n "${CHECKERS:-}" ] || { echo 'infra/check.sh: --install needs CHECKERS=DIR' >&2; exit 2; }
[ -z "${CHECKERS:-}" ] || CHECKERS=$(realpath -m "$CHECKERS")
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skip() { printf 'SKIPPED: %s\n' "$*"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checkers=${CHECKERS:-$work/checkers}
mkdir -p "$checkers"
guard=$checkers/package/bin/ubuntu/$(uname -m)/cfn-guard
# The tools want a region to be named, ask nobody, and should not try.
export AWS_DEFAULT_REGION=eu-central-1 SAM_CLI_TELEMETRY=0 CHECKOV_RUN_SCA_PACKAGE_SCAN=false LOG_LEVEL=ERROR

# Another list of them is installed anew.
listed=$(cat check/requirements*.txt | cksum)
if [ "$(cat "$checkers/listed" 2>/dev/null)" != "$listed" ]; then
    step 'install the checkers'
    python3 -m venv "$checkers/lint"
    "$checkers/lint/bin/pip" install --quiet --requirement check/requirements.txt
    python3 -m venv "$checkers/moto"
    "$checkers/moto/bin/pip" install --quiet --requirement check/requirements-moto.txt
    python3 -m venv "$checkers/emulator"
    "$checkers/emulator/bin/pip" install --quiet --requirement check/requirements-emulator.txt
    echo "$listed" >"$checkers/listed"
fi
if ! aws --version >/dev/null 2>&1 && [ ! -x "$checkers/aws/bin/aws" ]; then
    python3 -m venv "$checkers/aws"
    "$checkers/aws/bin/pip" install --quiet --requirement check/requirements-aws.txt
fi
if [ ! -x "$guard" ] && command -v npm >/dev/null; then
    (cd "$checkers" && npm pack --silent @cdklabs/cdk-validator-cfnguard@0.0.62 >/dev/null && tar xzf cdklabs-*.tgz)
fi
promtool=$(command -v promtool || true)
if [ -z "$promtool" ] && [ ! -x "$checkers/prometheus/usr/bin/promtool" ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
    # Only the program; the package would start a server.
    (cd "$work" && apt-get download prometheus && dpkg -x prometheus_*.deb "$checkers/prometheus") >/dev/null 2>&1 ||
        echo 'promtool cannot be had'
fi
if [ -z "$promtool" ] && [ -x "$checkers/prometheus/usr/bin/promtool" ]; then promtool=$checkers/prometheus/usr/bin/promtool; fi
[ -z "$only_install" ] || exit 0
lint=$checkers/lint/bin
if [ -x "$checkers/aws/bin/aws" ]; then PATH=$checkers/aws/bin:$PATH; fi

step 'contract'
"$checkers/moto/bin/openapi-spec-validator" openapi.yaml
"$lint/python" rest-api.py --check || fail 'infra/rest-api.py makes another rest-api.json'

step 'cfn-lint'
"$lint/cfn-lint" data.yaml roles.yaml app.yaml alarms.yaml vm.yaml fargate.yaml
step 'sam validate --lint'
"$lint/sam" validate --lint --template app.yaml

step 'what CloudFormation makes of the templates'
resolved=$work/resolved
mkdir "$resolved"
resolve() { # template, name of the result, parameters
    "$lint/python" check/resolve.py "$1.yaml" "$resolved/$2.json" "${@:3}" 2>"$work/errors" || { cat "$work/errors" >&2; exit 1; }
}
role=QueryRoleArn=arn:aws:iam::123456789012:role/query
resolve data data
resolve data data-provisioned Billing=PROVISIONED TtlAttribute=expires
resolve data data-limited OnDemandMaxWrites=1000 KmsKeyArn=arn:aws:kms:eu-central-1:123456789012:key/0a-1
resolve roles roles
resolve roles roles-all FunctionInVpc=true MetricsFromVm=true PackageBucket=packages Backfill=migrate-and-create-index \
    Items=true GatewayLogRole=true KmsKeyArn=arn:aws:kms:eu-central-1:123456789012:key/0a-1
resolve app app-rest "$role"
resolve app app-private "$role" EndpointType=PRIVATE VpcEndpointId=vpce-0a1 SubnetIds=subnet-12345678,subnet-12345679 \
    SecurityGroupIds=sg-12345678 ReservedConcurrency=10 Open=true
resolve app app-http "$role" ApiKind=http
resolve app app-rest-iam "$role" Authorizer=iam ExportConcurrency=10 ProvisionedConcurrency=2 Rollout=Canary10Percent5Minutes \
    DomainName=api.example.com CertificateArn=arn:aws:acm:eu-central-1:123456789012:certificate/0a-1
resolve app app-http-jwt "$role" ApiKind=http Authorizer=jwt JwtIssuer=https://example.com/pool JwtAudience=reader \
    DomainName=api.example.com CertificateArn=arn:aws:acm:eu-central-1:123456789012:certificate/0a-1
resolve app app-items "$role" Items=true ItemsRoleArn=arn:aws:iam::123456789012:role/items
resolve alarms alarms Email=somebody@example.com DaemonMetrics=true Items=true
resolve alarms alarms-http ApiKind=http HttpApiId=a1b2c3
resolve vm vm
resolve vm vm-all KeyName=mine DaemonMetrics=true JournalLogs=true "PackageSha256=$(printf '%064d' 0)"
resolve fargate fargate
# An image is known only when AWS looks it up, and a zone is a parameter's value; everything else must be as good as before.
"$lint/cfn-lint" --ignore-checks E1152 W3010 -- "$resolved"/*.json

step 'checkov'
"$lint/checkov" --quiet --compact --framework cloudformation --directory "$resolved" 2>"$work/errors" ||
    { tail -5 "$work/errors" >&2; fail checkov; }

step 'cfn-guard (the rules of AWS Control Tower)'
if [ -x "$guard" ]; then
    # It exits with 19 where anything was found; guard.py judges.
    "$guard" validate --rules "$checkers/package/rules/control-tower/cfn-guard" --data "$resolved" \
        --structured --output-format json --show-summary none >"$work/findings.json" || [ $? -eq 19 ]
    "$lint/python" check/guard.py "$work/findings.json" check/guard-exceptions.txt
else
    skip 'cfn-guard: no npm to fetch it with, or no build for this machine'
fi

step 'stacks in moto'
"$checkers/moto/bin/python" -W ignore check/stacks.py "$resolved"

step 'what is uploaded as the function'
"$checkers/moto/bin/python" check/artifact.py "$checkers/moto/bin/moto_server"

step 'programs with the permissions of their roles'
binaries=${BINARIES:-${CARGO_TARGET_DIR:-../target}/debug}
if [ -x "$binaries/ingestor" ] && [ -x "$binaries/query-fn" ] && [ -x "$binaries/backfill" ] &&
    [ -x "$binaries/items" ] && [ -x "$binaries/exchange-sim" ] && [ -x "$binaries/fault-proxy" ]; then
    "$checkers/moto/bin/python" check/policies.py "$resolved" "$binaries"
else
    skip "policies: programs are missing in $binaries: cargo build --workspace, or BINARIES=DIR"
fi

step 'a whole deployment in an emulator'
if [ -x "$binaries/ingestor" ] && [ -x "$binaries/query-fn" ] && [ -x "$binaries/exchange-sim" ] &&
    [ -x "$binaries/items-fn" ] && [ -x "$binaries/items" ] && command -v curl >/dev/null; then
    check/deploy.sh "$checkers/emulator/bin/python" "$binaries"
else
    skip "deployment: no curl, or programs are missing in $binaries: cargo build --workspace, or BINARIES=DIR"
fi

step 'container'
"$lint/hadolint" container/Dockerfile
if [ -x "$binaries/ingestor" ] && [ -x "$binaries/bitstamp-live" ]; then
    "$lint/python" check/container.py "$binaries"
else
    skip "container: programs are missing in $binaries: cargo build --workspace, or BINARIES=DIR"
fi

step 'Grafana and Prometheus'
"$lint/python" check/metrics.py "$promtool"

step 'unit'
if command -v systemd-analyze >/dev/null; then
    # The program is not installed here; anything else that verify says, it says on standard error, with exit code 0.
    sed 's#^ExecStart=/usr/bin/ingestor#ExecStart=/bin/true#' systemd/bitstamp-live.service >"$work/bitstamp-live.service"
    said=$(systemd-analyze verify --man=no "$work/bitstamp-live.service" 2>&1) || true
    [ -z "$said" ] || fail "systemd-analyze verify: $said"
    systemd-analyze security --offline=true --threshold=15 --no-pager "$work/bitstamp-live.service" | tail -n 1
else
    skip 'unit: no systemd-analyze'
fi

step shellcheck
(cd .. && "$lint/shellcheck" --external-sources scripts/*.sh infra/*.sh infra/check/*.sh infra/debian/postrm .ci/run)

step actionlint
(cd .. && "$lint/actionlint" -shellcheck "$lint/shellcheck" .github/workflows/*.yml)
sed -n 's/^.*run: .*\(scripts\/[a-z-]*\.sh\).*$/\1/p' ../.github/workflows/*.yml | while read -r script; do
    [ -x "../$script" ] || fail ".github/workflows runs $script, which is not there"
done

step 'user data'
"$lint/python" check/user-data.py "$resolved/vm-all.json" "$lint/shellcheck"
printf '\ninfra: all checks passed\n'
