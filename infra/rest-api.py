#!/usr/bin/env python3
"""Makes infra/rest-api.json, the body of the REST API in infra/app.yaml, from the contract infra/openapi.yaml.

  infra/rest-api.py            writes it
  infra/rest-api.py --check    says whether it is up to date; exit code 1 if not

Needs PyYAML. The result is committed, so that a deployment needs no Python.

Paths and parameters are the contract's. Added is what API Gateway has to know: which function answers how, who needs a key,
what is checked before a function runs, and the gateway's own errors as the problem documents of the contract. Left out are the
schemas of answers: the gateway does nothing with them, and its importer knows only a part of JSON Schema.
"""

import json
import pathlib
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent
CONTRACT, BODY = HERE / "openapi.yaml", HERE / "rest-api.json"

# Paths that need no key, and those that the gateway answers without any function.
OPEN = {"/", "/assets/{file}", "/health", "/openapi.json"}
MOCKED = {"/health": {"status": "ok"}}
STREAMED = {"/export", "/tail"}

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration.html
BUFFERED = {
    "type": "aws_proxy",
    "httpMethod": "POST",
    "uri": {
        "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${QueryFunction.Arn}:live/invocations"
    },
}
# https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
STREAM = {
    "type": "aws_proxy",
    "httpMethod": "POST",
    "uri": {
        "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2021-11-15/functions/${ExportFunction.Arn}:live/response-streaming-invocations"
    },
    "responseTransferMode": "STREAM",
    "timeoutInMillis": 900000,
}

# The gateway's own errors: response type -> status, `type` and `title` of the problem document. Each has its status here, because
# $context.status is not known where they are made.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
PROBLEMS = {
    "ACCESS_DENIED": (403, "not-allowed", "These credentials may not read"),
    "API_CONFIGURATION_ERROR": (500, "gateway-error", "The gateway is set up wrongly"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, "gateway-error", "The gateway is set up wrongly"),
    "AUTHORIZER_FAILURE": (500, "gateway-error", "The gateway could not check the credentials"),
    "BAD_REQUEST_BODY": (400, "wrong-parameters", "Wrong body"),
    "BAD_REQUEST_PARAMETERS": (400, "wrong-parameters", "Wrong parameters"),
    "EXPIRED_TOKEN": (403, "not-allowed", "The credentials have expired"),
    "INTEGRATION_FAILURE": (504, "no-answer", "The function did not answer"),
    "INTEGRATION_TIMEOUT": (504, "timeout", "The function did not answer in time"),
    "INVALID_API_KEY": (403, "no-valid-key", "No valid API key in x-api-key"),
    "INVALID_SIGNATURE": (403, "not-allowed", "The signature is wrong"),
    # A path or method that is not there. Where requests are signed, one without a signature gets it too: see UNSIGNED.
    "MISSING_AUTHENTICATION_TOKEN": (404, "no-such-path", "No such path"),
    "QUOTA_EXCEEDED": (429, "quota-used-up", "The key's quota for today is used up; it is renewed at 00:00 UTC"),
    "REQUEST_TOO_LARGE": (413, "too-large", "The request is too large"),
    "RESOURCE_NOT_FOUND": (404, "no-such-path", "No such path"),
    "THROTTLED": (429, "too-many-requests", "Too many requests"),
    "UNAUTHORIZED": (401, "not-allowed", "No credentials"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "wrong-parameters", "This type of body is not taken"),
    "WAF_FILTERED": (403, "not-allowed", "The firewall refuses the request"),
    "DEFAULT_4XX": (400, "refused", "The gateway refuses the request"),
    "DEFAULT_5XX": (500, "gateway-error", "The gateway failed"),
}
UNSIGNED = (403, "not-signed", "The request is not signed, or there is no such path")


def main() -> int:
    body = json.dumps(rest_api(yaml.safe_load(CONTRACT.read_text())), indent=1) + "\n"
    if sys.argv[1:] == ["--check"]:
        if BODY.exists() and BODY.read_text() == body:
            return 0
        print(f"{BODY.name} is not what {CONTRACT.name} says; run infra/rest-api.py", file=sys.stderr)
        return 1
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    BODY.write_text(body)
    return 0


def rest_api(contract: dict) -> dict:
    paths = {}
    for path, methods in contract["paths"].items():
        shared = methods.get("parameters", [])
        operations = {}
        for method, operation in methods.items():
            if method == "parameters":
                continue
            wanted = [parameter(contract, given) for given in shared + operation.get("parameters", [])]
            operations[method] = described(path, method, wanted, operation["operationId"])
            if method == "get" and "head" not in methods:
                operations["head"] = described(path, "head", wanted, operation["operationId"] + "Head")
        # The function alone knows which origins are allowed. A browser sends no key with a preflight request.
        needed = [given for given in operations["get"]["parameters"] if given["in"] == "path"]
        operations["options"] = {"parameters": needed, "responses": ANY, INTEGRATION: BUFFERED}
        paths[path] = operations
    return {
        "openapi": "3.0.1",
        "info": {key: contract["info"][key] for key in ("title", "version", "description")},
        "paths": paths,
        "components": {"securitySchemes": {"api_key": KEY, "sigv4": SIGNATURE}},
        "x-amazon-apigateway-api-key-source": "HEADER",
        # Compressed answers pass only as binary, and which answer is one is decided by the first type in `Accept`.
        "x-amazon-apigateway-binary-media-types": ["*/*"],
        "x-amazon-apigateway-request-validators": {
            "parameters": {"validateRequestParameters": True, "validateRequestBody": False}
        },
        "x-amazon-apigateway-request-validator": "parameters",
        "x-amazon-apigateway-gateway-responses": {name: answer(name, words) for name, words in PROBLEMS.items()},
        "x-amazon-apigateway-policy": {"Fn::If": ["Private", PRIVATE_ONLY, {"Ref": "AWS::NoValue"}]},
    }


KEY = {"type": "apiKey", "name": "x-api-key", "in": "header"}
SIGNATURE = {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"}
INTEGRATION = "x-amazon-apigateway-integration"
ANY = {"default": {"description": "As in the contract."}}
# A private API refuses everybody until a policy says otherwise.
PRIVATE_ONLY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "execute-api:Invoke",
            "Resource": "execute-api:/*",
            "Condition": {"StringEquals": {"aws:SourceVpce": {"Ref": "VpcEndpointId"}}},
        }
    ],
}


def described(path: str, method: str, parameters: list, name: str) -> dict:
    operation = {"operationId": name, "parameters": parameters, "responses": ANY}
    if path not in OPEN:
        signed = {"Fn::If": ["RestWithIam", [{"sigv4": []}], []]}
        operation["security"] = {"Fn::If": ["RestWithKey", [{"api_key": []}], signed]}
    if path in MOCKED:
        operation["responses"] = {"200": {"description": "As in the contract."}}
        operation[INTEGRATION] = mocked(MOCKED[path] if method == "get" else None)
    elif path in STREAMED:
        operation[INTEGRATION] = STREAM
    else:
        operation[INTEGRATION] = BUFFERED
    return operation


def parameter(contract: dict, given: dict) -> dict:
    while "$ref" in given:
        found = contract
        for step in given["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        given = found
    return {
        "name": given["name"],
        "in": given["in"],
        "required": given.get("required", False),
        "schema": {"type": "string"},
    }


def mocked(document: dict | None) -> dict:
    body = "" if document is None else json.dumps(document, separators=(",", ":"))
    return {
        "type": "mock",
        # With */* as binary types the mock could not read its own template.
        "contentHandling": "CONVERT_TO_TEXT",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "responses": {"default": {"statusCode": "200", "responseTemplates": {"application/json": body}}},
    }


def answer(name: str, words: tuple) -> dict:
    if name != "MISSING_AUTHENTICATION_TOKEN":
        return problem(*words, retry="'1'" if name == "THROTTLED" else None)
    return {"Fn::If": ["RestWithIam", problem(*UNSIGNED), problem(*words)]}


def problem(status: int, kind: str, title: str, retry: str | None = None) -> dict:
    document = (
        f'{{"type":"{kind}","title":"{title}","status":{status},'
        '"detail":$context.error.messageString,"request_id":"$context.requestId"}'
    )
    headers = {
        # Nothing in these answers is secret, so pages of any origin may read them.
        "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
        "gatewayresponse.header.Cache-Control": "'no-store'",
        "gatewayresponse.header.Content-Type": "'application/problem+json'",
    }
    if retry:
        headers["gatewayresponse.header.Retry-After"] = retry
    return {"statusCode": str(status), "responseParameters": headers, "responseTemplates": {"application/json": document}}


if __name__ == "__main__":
    sys.exit(main())
