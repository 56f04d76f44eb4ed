"""Holds infra/grafana against the daemon: each metric named there exists under that name, none by an older name, and promtool has
nothing against the rules, their tests, and the dashboard's expressions.

  metrics.py [PROMTOOL]      without it, only the names
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "infra/grafana"


def main(promtool: str = "") -> None:
    code = (ROOT / "ingestor/src/observe/report/series.rs").read_text() + (ROOT / "ingestor/src/observe/report.rs").read_text()
    known = set(re.findall(r'"(bitstamp_\w+)"', code))
    older = {name for name in known if name.endswith(("_us", "_us_total"))}
    assert len(known) > 40 and older, known
    panels = json.loads((GRAFANA / "dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [rule["expr"] for group in yaml.safe_load((GRAFANA / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
    used = set(re.findall(r"\bbitstamp_\w+", " ".join(asked + rules)))
    assert used <= known - older, sorted(used - (known - older))
    print(f"grafana: {len(panels)} panels and {len(rules)} rules name {len(used)} of the daemon's {len(known - older)} metrics, each by its name")
    if not promtool:
        print("SKIPPED: grafana: no promtool")
        return
    with tempfile.TemporaryDirectory() as work:
        file = pathlib.Path(work) / "dashboard.yaml"
        filled = [text.replace("$__rate_interval", "5m").replace("$instance", ".*") for text in asked]
        file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [
            {"record": f"panel:{number}", "expr": text} for number, text in enumerate(filled)]}]}))
        for words in [["check", "rules", GRAFANA / "alerts.yaml"], ["test", "rules", GRAFANA / "alerts-test.yaml"], ["check", "rules", file]]:
            said = subprocess.run([promtool, *words], text=True, capture_output=True)
            assert said.returncode == 0, said.stdout + said.stderr
    print("promtool: rules, their tests and the dashboard's expressions are right")


if __name__ == "__main__":
    main(*sys.argv[1:])
