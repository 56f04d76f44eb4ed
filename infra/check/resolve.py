"""What CloudFormation makes of a template for given parameters, as far as it follows from the template alone.

  resolve.py TEMPLATE OUT.json [NAME=VALUE ...]

infra/app.yaml is expanded first (AWS::Include, then the SAM transform). Parameters, conditions and Fn::If, Fn::Sub, Fn::Join and
Fn::Split are worked out; references to resources stay. Checkers that know no parameters then see what would be created.
"""

import json
import pathlib
import re
import sys

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "bitstamp-live",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()


class NoPolicies:
    """No template names managed policies by name, so nothing is asked of IAM."""

    def load(self) -> dict:
        return {}


def load(path: pathlib.Path, given: dict) -> dict:
    from samcli.yamlhelper import yaml_parse

    # Through JSON: anchors in YAML would otherwise share what is changed later.
    template = json.loads(json.dumps(yaml_parse(path.read_text())))
    return expand(included(template, path.parent), given) if "Transform" in template else template


def included(value, folder: pathlib.Path):
    if isinstance(value, dict):
        macro = value.get("Fn::Transform")
        if isinstance(macro, dict) and macro.get("Name") == "AWS::Include":
            return json.loads((folder / macro["Parameters"]["Location"]).read_text())
        return {key: included(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [included(inner, folder) for inner in value]
    return value


def expand(template: dict, given_values: dict) -> dict:
    from samtranslator.translator.transform import transform

    # The translator knows code in S3 only; `aws cloudformation package` puts there what each function names, and nothing else.
    for name, given in template["Resources"].items():
        if given["Type"] == "AWS::Serverless::Function":
            package = "items-fn.zip" if name == "ItemsFunction" else "query-fn.zip"
            if given["Properties"].get("CodeUri") != f"../target/lambda/{package}":
                sys.exit(f"{name}: CodeUri must be ../target/lambda/{package}, on the function itself")
            given["Properties"]["CodeUri"] = {"Bucket": "packages", "Key": package}
    values = {name: given.get("Default", "") for name, given in template["Parameters"].items()} | given_values
    metadata = {name: given.get("Metadata") for name, given in template["Resources"].items()}
    expanded = transform(template, values, NoPolicies())
    # The transform drops an API's metadata; what was said of it holds for its stage.
    for name, given in expanded["Resources"].items():
        for api, said in metadata.items():
            if said and name in (api, f"{api}prodStage"):
                given.setdefault("Metadata", said)
    return expanded


class Resolver:
    def __init__(self, template: dict, values: dict):
        unknown = set(values) - set(template.get("Parameters", {}))
        if unknown:
            sys.exit(f"no such parameters: {sorted(unknown)}")
        self.template = template
        self.values = {name: self.typed(name, values) for name in template.get("Parameters", {})}

    def typed(self, name: str, values: dict):
        given = self.template["Parameters"][name]
        value = str(values.get(name, given.get("Default", PSEUDO.get(name, ""))))
        if given["Type"] == "CommaDelimitedList":
            return value.split(",")
        return value

    def holds(self, name: str) -> bool:
        return self.judge(self.template["Conditions"][name])

    def judge(self, condition: dict) -> bool:
        (kind, given), *_ = condition.items()
        match kind:
            case "Condition":
                return self.holds(given)
            case "Fn::Equals":
                return str(self.resolve(given[0])) == str(self.resolve(given[1]))
            case "Fn::Not":
                return not self.judge(given[0])
            case "Fn::And":
                return all(self.judge(each) for each in given)
            case "Fn::Or":
                return any(self.judge(each) for each in given)
        sys.exit(f"unknown condition {condition}")

    def resolve(self, value):
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if each is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (kind, given), *_ = value.items()
            known = getattr(self, "fn_" + kind.removeprefix("Fn::").lower(), None)
            if known and (kind == "Ref" or kind.startswith("Fn::")):
                return known(given)
        resolved = {key: self.resolve(inner) for key, inner in value.items()}
        return {key: inner for key, inner in resolved.items() if inner is not NO_VALUE}

    def fn_ref(self, name: str):
        if name == "AWS::NoValue":
            return NO_VALUE
        return self.values.get(name, PSEUDO.get(name, {"Ref": name}))

    def fn_if(self, given: list):
        return self.resolve(given[1] if self.holds(given[0]) else given[2])

    def fn_join(self, given: list):
        parts = self.resolve(given[1])
        if all(isinstance(part, str) for part in parts):
            return given[0].join(parts)
        return {"Fn::Join": [given[0], parts]}

    def fn_split(self, given: list):
        text = self.resolve(given[1])
        return text.split(given[0]) if isinstance(text, str) else {"Fn::Split": [given[0], text]}

    def fn_sub(self, given):
        text, own = (given, {}) if isinstance(given, str) else (given[0], self.resolve(given[1]))
        own = {key: value for key, value in own.items() if isinstance(value, str)}

        def known(match: re.Match) -> str:
            name = match.group(1)
            value = own.get(name, self.fn_ref(name))
            return value if isinstance(value, str) else match.group(0)

        text = re.sub(r"\$\{([A-Za-z0-9:.]+)\}", known, text)
        return {"Fn::Sub": text} if "${" in text else text

    def fn_getatt(self, given):
        return {"Fn::GetAtt": given.split(".") if isinstance(given, str) else given}

    def template_resolved(self) -> dict:
        resources = {}
        for name, resource in self.template["Resources"].items():
            if "Condition" in resource and not self.holds(resource.pop("Condition")):
                continue
            resources[name] = coerced(self.resolve(resource))
        for resource in resources.values():
            needed = resource.pop("DependsOn", [])
            needed = [name for name in ([needed] if isinstance(needed, str) else needed) if name in resources]
            if needed:
                resource["DependsOn"] = needed
        outputs = {}
        for name, output in self.template.get("Outputs", {}).items():
            if "Condition" not in output or self.holds(output.pop("Condition")):
                outputs[name] = self.resolve(output)
        return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, "Outputs": outputs}


# Texts in the schema, whatever they look like.
TEXTS = ("Variables", "PosixUser", "CreationInfo")


def coerced(value):
    """Texts that CloudFormation takes as truth or number, as what they are."""
    if isinstance(value, list):
        return [coerced(each) for each in value]
    if isinstance(value, dict):
        return {key: inner if key in TEXTS else coerced(inner) for key, inner in value.items()}
    if value in ("true", "false"):
        return value == "true"
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value) else value


def main(source: str, target: str, *pairs: str) -> None:
    values = dict(pair.split("=", 1) for pair in pairs)
    template = load(pathlib.Path(source), values)
    pathlib.Path(target).write_text(json.dumps(Resolver(template, values).template_resolved(), indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
