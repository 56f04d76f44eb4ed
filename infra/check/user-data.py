"""Checks the user data of the VM: cloud-config whose files parse as what they are and whose scripts shellcheck has nothing against.

  user-data.py RESOLVED_VM.json SHELLCHECK
"""

import json
import pathlib
import subprocess
import sys

import yaml

AGENT = pathlib.Path(__file__).resolve().parents[1] / "cloudwatch-agent"


def main(resolved: str, shellcheck: str) -> None:
    resources = json.loads(pathlib.Path(resolved).read_text())["Resources"]
    data = resources["Launch"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]
    text = data if isinstance(data, str) else data["Fn::Sub"]
    # All that is left to CloudFormation.
    text = text.replace("${Spool}", "vol-0123456789abcdef0")
    assert "${" not in text, text
    assert text.startswith("#cloud-config\n"), text[:40]
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
    assert len(text.encode()) <= 16384, len(text.encode())
    config = yaml.safe_load(text)
    (first,) = config["runcmd"]
    scripts = {"runcmd": "#!/bin/sh\n" + first}
    scripts |= {file["path"]: file["content"] for file in config["write_files"] if file["content"].startswith("#!")}
    for name, script in scripts.items():
        # Values of parameters stand where a script would have variables.
        said = subprocess.run([shellcheck, "--exclude=SC2050", "-"], input=script, text=True, capture_output=True)
        assert said.returncode == 0, f"{name}:\n{said.stdout}"
    called = {word for line in first.splitlines() for word in line.split() if word.startswith("bitstamp-live-")}
    written = {name.rsplit("/", 1)[1] for name in scripts if "/" in name}
    assert called == written, (called, written)
    for file in config["write_files"]:
        if file["path"].endswith(".json"):
            json.loads(file["content"])
    json.loads((AGENT / "agent.json").read_text())
    yaml.safe_load((AGENT / "prometheus.yaml").read_text())
    print(f"user data: {len(text.encode())} bytes of cloud-config, {len(scripts)} scripts that shellcheck has nothing against")


if __name__ == "__main__":
    main(*sys.argv[1:])
