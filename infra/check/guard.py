"""Compares what cfn-guard found with the exceptions that are explained.

  guard.py FINDINGS.json guard-exceptions.txt
"""

import json
import pathlib
import sys


def main(findings: str, exceptions: str) -> int:
    found = set()
    for report in json.loads(pathlib.Path(findings).read_text()):
        for finding in report["not_compliant"]:
            found.add((pathlib.Path(report["name"]).stem, finding["Rule"]["name"]))
    lines = pathlib.Path(exceptions).read_text().splitlines()
    excepted = {tuple(line.split(maxsplit=2)[:2]) for line in lines if line and not line.startswith("#")}
    for template, rule in sorted(found - excepted):
        print(f"cfn-guard: {template}: {rule}")
    for template, rule in sorted(excepted - found):
        print(f"guard-exceptions.txt: {template} {rule} is no finding any more")
    print(f"cfn-guard: {len(found & excepted)} findings, each explained in guard-exceptions.txt")
    return 1 if found != excepted else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
