"""Creates the stacks in moto and looks at what came out: the table as the programs expect it, roles with the actions that the
programs use and no others, the contract in API Gateway.

  stacks.py RESOLVED_FOLDER

What the code expects is read from the code.
"""

import json
import os
import pathlib
import re
import sys

import boto3
from moto import mock_aws

os.environ |= {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto"}

INFRA = pathlib.Path(__file__).resolve().parents[1]
ROOT = INFRA.parent
TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/bitstamp-live"
INDEX = TABLE + "/index/channel-nmicrotimestamp-index"


def stack(name: str, template: pathlib.Path, **parameters: str) -> dict:
    client = boto3.client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    body = template.read_text()
    client.create_stack(StackName=name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_IAM"])
    described = client.describe_stacks(StackName=name)["Stacks"][0]
    assert described["StackStatus"] == "CREATE_COMPLETE", described
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def expected_keys() -> tuple[list, list, str]:
    code = (ROOT / "shared/src/table.rs").read_text()
    words = dict(re.findall(r'pub const ([A-Z]+): &str = "([^"]+)";', code))

    def key(function: str) -> list:
        body = re.search(rf"pub fn {function}\(\).*?\{{(.*?)\n\}}", code, re.S).group(1)
        triples = re.findall(r"\(([A-Z]+), ScalarAttributeType::([A-Z]), KeyType::(\w+)\)", body)
        assert len(triples) == 2, body
        return [(words[name], kind, role.upper()) for name, kind, role in triples]

    return key("primary_key"), key("index_key"), words["INDEX"]


@mock_aws
def data_stack() -> None:
    for parameters in [{}, {"Billing": "PROVISIONED", "TtlAttribute": "expires"}]:
        name = "data-" + parameters.get("Billing", "default").lower()
        outputs = stack(name, INFRA / "data.yaml", TableName=name, **parameters)
        client = boto3.client("dynamodb")
        table = client.describe_table(TableName=name)["Table"]
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}

        def key(schema: list) -> list:
            return [(each["AttributeName"], types[each["AttributeName"]], each["KeyType"]) for each in schema]

        primary, index, index_name = expected_keys()
        assert key(table["KeySchema"]) == primary, table["KeySchema"]
        (only,) = table["GlobalSecondaryIndexes"]
        assert (only["IndexName"], key(only["KeySchema"])) == (index_name, index), only
        assert only["Projection"]["ProjectionType"] == "ALL", only
        # moto keeps the text; recovery and encryption, which it leaves out, are held by checkov and cfn-guard.
        assert str(table["DeletionProtectionEnabled"]).lower() == "true", table
        assert outputs["IndexArn"].endswith(f":table/{name}/index/{index_name}"), outputs
        print(f"data stack {parameters or 'with its defaults'}: table, index, deletion protection as expected")


def actions_in(source: str, leave_out: tuple = ()) -> set:
    """The calls of the SDK that a program's code makes, as actions of policies."""
    names = "batch_execute_statement batch_write_item delete_item describe_continuous_backups describe_table get_item put_item \
query scan update_item update_table create_table batch_get_item execute_statement transact_write_items list_tables".split()
    used = set()
    for file in (ROOT / source).rglob("*.rs"):
        code = file.read_text().split("#[cfg(test)]")[0]
        # `query` is a method of URIs too.
        calls = re.findall(r"(?:client|store|self\.client|\n\s+)\s*\.(\w+)\(\)", code)
        used |= {name for name in calls if name in names and name not in leave_out}
    action = {"batch_execute_statement": "PartiQLUpdate"}
    return {action.get(name, "".join(part.title() for part in name.split("_"))) for name in used}


def granted(role: str) -> dict:
    iam = boto3.client("iam")
    actions: dict = {}
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        if ":aws:policy/" in policy["PolicyArn"]:
            continue
        version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow", statement
            listed = lambda value: value if isinstance(value, list) else [value]
            for action in listed(statement["Action"]):
                assert "*" not in action, action
                actions.setdefault(action, set()).update(listed(statement["Resource"]))
    assert not iam.list_role_policies(RoleName=role)["PolicyNames"]
    return actions


def of_dynamodb(actions: dict) -> dict:
    return {name.split(":")[1]: arns for name, arns in actions.items() if name.startswith("dynamodb:")}


@mock_aws
def roles_stack(resolved: pathlib.Path) -> None:
    # As resolved: moto does not take AWS::NoValue out of lists.
    outputs = stack("roles", resolved / "roles-all.json")
    roles = {role["Description"]: role["RoleName"] for role in boto3.client("iam").list_roles()["Roles"]}

    query = granted(roles["bitstamp-live query-fn"])
    assert of_dynamodb(query) == {"Query": {TABLE, INDEX}}, query
    assert actions_in("query-fn/src") == {"Query"}, actions_in("query-fn/src")
    starred = {name for name, arns in query.items() if "*" in arns}
    assert all(name.startswith(("xray:", "ec2:")) for name in starred), starred

    # A transaction needs the permission of each of its members.
    items = granted(roles["bitstamp-live items-fn"])
    members = {"ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem"}
    assert of_dynamodb(items) == {name: {TABLE} for name in members | {"GetItem", "Query"}}, items
    used = actions_in("query-fn/items/src")
    assert used == {"GetItem", "Query", "TransactWriteItems"}, used
    assert {name for name, arns in items.items() if "*" in arns} == starred, items

    ingestor = of_dynamodb(granted(roles["bitstamp-live ingestor"]))
    allowed = {"BatchWriteItem", "DeleteItem", "DescribeTable", "PutItem", "Query"}
    assert set(ingestor) == allowed, ingestor
    assert ingestor["BatchWriteItem"] == {TABLE}, ingestor
    # The daemon creates tables for local stores only (ingestor::store::table::create); in an account data.yaml does.
    used = actions_in("ingestor/src", leave_out=("create_table",))
    assert {"BatchWriteItem", "DescribeTable"} <= used <= allowed, used

    backfill = of_dynamodb(granted(roles["bitstamp-live backfill"]))
    used = actions_in("scripts/backfill/src")
    assert set(backfill) == used, (set(backfill), used)
    assert backfill["Scan"] == {TABLE, INDEX} and backfill["PartiQLUpdate"] == {TABLE}, backfill
    assert outputs["QueryRoleArn"].endswith(roles["bitstamp-live query-fn"]), outputs
    print(f"roles stack: query-fn {sorted(of_dynamodb(query))}, items-fn {sorted(of_dynamodb(items))}, ingestor {sorted(ingestor)}, backfill {sorted(backfill)}")

    stack("small", resolved / "roles.json")
    names = [role["RoleName"] for role in boto3.client("iam").list_roles()["Roles"] if role["RoleName"].startswith("small")]
    assert len(names) == 2, names
    print("roles stack with its defaults: two roles, none of them for single items")

    without = json.loads((resolved / "app-rest.json").read_text())["Resources"]
    assert not [name for name in without if "Items" in name], without
    made = json.loads((resolved / "app-items.json").read_text())["Resources"]
    routes = [each["Properties"] for each in made.values() if each["Type"] == "AWS::ApiGatewayV2::Route"]
    assert sorted((each["RouteKey"], each["AuthorizationType"]) for each in routes) == [
        ("GET /items/audit", "AWS_IAM"), ("POST /items", "AWS_IAM")], routes
    assert "ItemsApi" not in json.dumps([each for each in made.values() if each["Type"] == "AWS::ApiGateway::UsagePlan"])
    print("app stack: nothing of the item function unless Items=true, and then two routes, both signed, in no usage plan")


@mock_aws
def contract(resolved: pathlib.Path) -> None:
    template = json.loads((resolved / "app-rest.json").read_text())
    # Where it is not told otherwise, SAM's deployment makes a second public stage, named Stage, without throttle, log and firewall.
    kinds = ("AWS::ApiGateway::Stage", "AWS::ApiGateway::Deployment")
    stages = [each["Properties"].get("StageName") for each in template["Resources"].values() if each["Type"] in kinds]
    assert sorted(stages, key=str) == [None, "prod"], stages
    # API Gateway does not know the status where it makes its own answers.
    assert "$context.status" not in json.dumps(template["Resources"]["RestApi"]["Properties"]["Body"])
    # As CloudFormation hands it on: with the functions' names.
    text = json.dumps(template["Resources"]["RestApi"]["Properties"]["Body"])
    text = re.sub(r'\{"Fn::Sub": ("[^"]+")\}', r"\1", text)
    text = re.sub(r"\$\{(\w+)\.Arn\}", r"arn:aws:lambda:eu-central-1:123456789012:function:\1", text)
    assert "Fn::" not in text and "${" not in text, text
    body = json.loads(text)
    integrations = [each["x-amazon-apigateway-integration"] for path in body["paths"].values() for each in path.values()]
    for mocked in (each for each in integrations if each["type"] == "mock"):
        # moto asks for these even where nothing is called.
        mocked |= {"uri": "", "httpMethod": "POST"}
    client = boto3.client("apigateway")
    api = client.import_rest_api(body=json.dumps(body), failOnWarnings=True)
    resources = {each["path"]: each for each in client.get_resources(restApiId=api["id"], limit=500)["items"]}
    wanted = {path: {method.upper() for method in methods} for path, methods in body["paths"].items()}
    made = {path: set(each.get("resourceMethods", {})) for path, each in resources.items() if each.get("resourceMethods")}
    assert made == wanted, (made, wanted)
    closed = 0
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            found = client.get_integration(restApiId=api["id"], resourceId=resources[path]["id"], httpMethod=method.upper())
            sent = operation["x-amazon-apigateway-integration"]
            assert (found["type"], found["uri"]) == (sent["type"], sent["uri"]), (path, method, found)
            # moto does not keep who needs a key.
            closed += bool(operation.get("security"))
    client.create_deployment(restApiId=api["id"], stageName="prod")
    print(f"contract: API Gateway takes it, {len(made)} paths, {sum(map(len, made.values()))} methods, {closed} of them need a key")


if __name__ == "__main__":
    data_stack()
    roles_stack(pathlib.Path(sys.argv[1]))
    contract(pathlib.Path(sys.argv[1]))
