"""Serves MiniStack, an emulator of AWS, with what it leaves out of a deployment of infra/.

  emulator.py

Settings are MiniStack's environment variables (GATEWAY_PORT, BIND_HOST ...). Added are, in this order: the characters of a generated
secret, what an OpenAPI body says beyond paths and functions, streamed answers of functions, the letter case of an HTTP API's CORS
settings, the types of a table's properties, resources that a parameter alone adds or removes, CodeDeploy (which only exists there: a new
version takes over at once). Each of them follows AWS's documentation of the property; none knows anything of this project's templates.
"""

import base64
import json
import secrets
import string

from ministack.services import apigateway, apigateway_v1
from ministack.services.cloudformation import changesets, provisioners

EXTENSION = "x-amazon-apigateway-"


def generated_secret(original):
    """Honours ExcludePunctuation of GenerateSecretString."""

    def secret(properties: dict) -> str:
        rules = properties.get("GenerateSecretString") or {}
        if properties.get("SecretString") or str(rules.get("ExcludePunctuation")).lower() != "true":
            return original(properties)
        letters = string.ascii_letters + string.digits
        return "".join(secrets.choice(letters) for _ in range(int(rules.get("PasswordLength", 32))))

    return secret


def imported_api(original):
    """Imports the gateway's own answers, binary types, validators, declared parameters and whole integrations of an OpenAPI body."""

    def load(body: dict, base=None) -> str:
        api = original(body, base)
        kept = apigateway_v1._rest_apis[api]
        kept["binaryMediaTypes"] = body.get(EXTENSION + "binary-media-types", [])
        for kind, answer in body.get(EXTENSION + "gateway-responses", {}).items():
            apigateway_v1._put_gateway_response(api, kind, answer)
        validators = {}
        for name, rules in body.get(EXTENSION + "request-validators", {}).items():
            _, _, made = apigateway_v1._create_request_validator(api, {"name": name, **rules})
            validators[name] = json.loads(made)["id"]
        resources = {resource["path"]: (number, resource) for number, resource in apigateway_v1._resources[api].items()}
        for path, operations in body.get("paths", {}).items():
            number, resource = resources[path]
            for verb, operation in operations.items():
                method = resource["resourceMethods"].get(verb.upper())
                if method is not None:
                    chosen = operation.get(EXTENSION + "request-validator", body.get(EXTENSION + "request-validator"))
                    method["requestValidatorId"] = validators.get(chosen)
                    method["requestParameters"] = declared(operation)
                    integrate(api, number, verb.upper(), operation.get(EXTENSION + "integration"))
        return api

    return load


def declared(operation: dict) -> dict:
    places = {"query": "querystring", "path": "path", "header": "header"}
    return {f"method.request.{places[given['in']]}.{given['name']}": bool(given.get("required"))
            for given in operation.get("parameters", []) if given["in"] in places}


def integrate(api: str, resource: str, verb: str, given: dict | None) -> None:
    if not given:
        return
    apigateway_v1._put_integration(api, resource, verb, {**given, "type": given["type"].upper()})
    for pattern, answer in given.get("responses", {}).items():
        status = str(answer.get("statusCode", "200"))
        selected = {**answer, "selectionPattern": "" if pattern == "default" else pattern}
        apigateway_v1._put_integration_response(api, resource, verb, status, selected)


def streamed_reference(original):
    """Finds the function in the address of a streamed invocation too."""
    return lambda uri: original((uri or "").replace("/response-streaming-invocations", "/invocations"))


def streamed_answer(original):
    """Cuts a streamed answer at its eight zeros: before them stand status and headers as JSON, behind them the body."""

    def answer(result):
        body = result.get("body") if isinstance(result, dict) else None
        raw = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
        head, zeros, rest = raw.partition(bytes(8)) if isinstance(raw, bytes) else (b"", b"", b"")
        if not zeros:
            return original(result)
        return {**json.loads(head), "body": base64.b64encode(rest).decode(), "isBase64Encoded": True}, None

    return answer


def lower_cors(original):
    """Hands CorsConfiguration of a template to a service that reads the names of its REST calls."""

    def call(logical: str, properties: dict, *rest, **named):
        cors = properties.get("CorsConfiguration") or {}
        lowered = {name[0].lower() + name[1:]: value for name, value in cors.items()}
        return original(logical, {**properties, "CorsConfiguration": lowered} if lowered else properties, *rest, **named)

    return call


def typed(original):
    """Makes truth of the texts that CloudFormation accepts for it; DescribeTable would answer with the texts."""

    def convert(value):
        if isinstance(value, dict):
            return {name: convert(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [convert(inner) for inner in value]
        return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value

    def call(logical: str, properties: dict, *rest, **named):
        return original(logical, convert(properties), *rest, **named)

    return call


def only_made(original):
    """Leaves out of a change set's comparison what its condition does not make: the condition of a resource may be all that changes."""

    def resolve(template: dict, parameters: dict, *rest) -> dict:
        resolved = original(template, parameters, *rest)
        conditions = changesets._evaluate_conditions(template, parameters) if template else {}
        made = {name: given for name, given in resolved.get("Resources", {}).items() if conditions.get(given.get("Condition"), True)}
        return {**resolved, "Resources": made} if resolved else resolved

    return resolve


def nothing() -> dict:
    """A resource that exists and does nothing."""
    return {
        "create": lambda logical, properties, stack, *rest, **named: (f"{stack}-{logical}", {}),
        "update": lambda physical, *rest, **named: (physical, {}),
        "delete": lambda *rest, **named: None,
    }


def extend() -> None:
    provisioners._sm_secret_string = generated_secret(provisioners._sm_secret_string)
    apigateway_v1._import_rest_api = imported_api(apigateway_v1._import_rest_api)
    for module in (apigateway_v1, apigateway):
        module._extract_lambda_ref_from_integration_uri = streamed_reference(module._extract_lambda_ref_from_integration_uri)
    apigateway_v1._lambda_proxy_response = streamed_answer(apigateway_v1._lambda_proxy_response)
    changesets._resolve_props_for_diff = only_made(changesets._resolve_props_for_diff)
    for kind, change in (("AWS::ApiGatewayV2::Api", lower_cors), ("AWS::DynamoDB::Table", typed)):
        handlers = provisioners._RESOURCE_HANDLERS[kind]
        handlers["create"] = change(handlers["create"])
    for kind in ("Application", "DeploymentGroup"):
        provisioners._RESOURCE_HANDLERS.setdefault(f"AWS::CodeDeploy::{kind}", nothing())


if __name__ == "__main__":
    extend()
    from ministack.app import main

    main()
