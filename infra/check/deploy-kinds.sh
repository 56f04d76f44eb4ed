# Part of infra/check/deploy.sh: another kind of API over the same table, and what a deployment remembers.
# shellcheck shell=bash disable=SC2154

run scripts/deploy.sh --bucket packages --name second && fail 'a table that belongs to another deployment is taken for a new one'
has 'there is a table bitstamp-live that is not this deployment.s: --existing-table bitstamp-live'
run scripts/deploy.sh --bucket packages --name second --existing-table nothing && fail 'a table that is not there'
has 'deploy.sh: the table nothing: '
run scripts/deploy.sh --bucket packages --name second --existing-table bitstamp-live ApiKind=http Open=false || fail 'an HTTP API'
has 'smoke test: .* answers as it should'
has '^ok +without rights +403'
lacks 'second-data'
run scripts/deploy.sh --bucket packages --name second || fail 'the HTTP API again'
has '^First request: .*--aws-sigv4 aws:amz:eu-central-1:execute-api'
for part in roles alarms; do has "No changes to deploy. Stack second-$part is up to date"; done
lacks 'second-data'
first_request
[ "$(aws cloudwatch describe-alarms --alarm-names second-api-errors --query 'MetricAlarms[0].MetricName' --output text)" = 5xx ] ||
    fail 'the alarms know nothing of the HTTP API'
run scripts/deploy.sh --bucket packages --name second --dry-run Open=true || fail 'a dry run'
has 'Modify\s+HttpRoute\s+AWS::ApiGatewayV2::Route'
has 'second-roles: no changes'
[ "$(aws cloudformation describe-stacks --stack-name second-app --output text \
    --query "Stacks[0].[StackStatus, Parameters[?ParameterKey=='Open'].ParameterValue | [0]] | join(' ', @)")" = 'UPDATE_COMPLETE false' ] ||
    fail 'a dry run changes something'

# Tokens of an OpenID Connect issuer: a user pool of Cognito, which the emulator has too.
pool=$(aws cognito-idp create-user-pool --pool-name readers --query UserPool.Id --output text)
client=$(aws cognito-idp create-user-pool-client --user-pool-id "$pool" --client-name reader --query UserPoolClient.ClientId --output text \
    --explicit-auth-flows ALLOW_USER_PASSWORD_AUTH ALLOW_REFRESH_TOKEN_AUTH)
aws cognito-idp admin-create-user --user-pool-id "$pool" --username reader --message-action SUPPRESS >/dev/null
aws cognito-idp admin-set-user-password --user-pool-id "$pool" --username reader --password 'Of-the-check-1' --permanent
token=$(aws cognito-idp initiate-auth --client-id "$client" --auth-flow USER_PASSWORD_AUTH --output text \
    --auth-parameters 'USERNAME=reader,PASSWORD=Of-the-check-1' --query AuthenticationResult.AccessToken)
run scripts/deploy.sh --bucket packages --name second Authorizer=jwt JwtAudience="$client" \
    JwtIssuer="https://cognito-idp.$AWS_DEFAULT_REGION.amazonaws.com/$pool" || fail 'an HTTP API with tokens'
has '^First request: .*authorization: Bearer'
second=$(sed -n 's/^The API: //p' "$work/said")
run scripts/smoke.sh --require --bearer "$token" "$second" || fail 'the smoke test with a token'
has '^ok +without rights +401'
run scripts/smoke.sh --require --wait 0 --bearer "${token%????}AAAA" "$second" && fail 'a forged token of the issuer is taken'
aws cognito-idp delete-user-pool --user-pool-id "$pool"
run scripts/destroy.sh --name second --yes || fail 'destroy.sh --name second'
# As a first deployment leaves it that failed half-way: AWS would refuse every update of such a stack.
aws cloudformation create-stack --stack-name third-roles --template-body '{"Resources": {"Group": {"Type": "AWS::Logs::LogGroup"},
    "Other": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Fn::GetAtt": ["Group", "Nothing"]}}}}}' >/dev/null
state() { aws cloudformation describe-stacks --stack-name third-roles --query 'Stacks[0].StackStatus' --output text; }
for _ in $(seq 60); do [ "$(state)" = CREATE_IN_PROGRESS ] || break; done
[ "$(state)" = ROLLBACK_COMPLETE ] || fail "a stack that cannot be made is $(state)"
run scripts/deploy.sh --bucket packages --name third --existing-table bitstamp-live Authorizer=iam || fail 'a REST API with signatures'
has '^\+ aws cloudformation delete-stack .*--stack-name third-roles'
has '^First request: .*--aws-sigv4 aws:amz:eu-central-1:execute-api'
has '^ok +without rights +403'
first_request
run scripts/destroy.sh --name third --yes || fail 'destroy.sh --name third'
ok 'an HTTP API with signatures, then with tokens, and a REST API with signatures over the same table: deployed, asked, deployed again, dry run, destroyed'

run scripts/deploy.sh --bucket packages --only roles DaemonMetrics=true || fail 'the right to send metrics'
run scripts/deploy.sh --bucket packages --only roles || fail 'the roles without parameters'
has 'No changes to deploy. Stack bitstamp-live-roles is up to date'
ok 'a later deployment without the parameter keeps the right to send metrics'
