"""Packages the function as scripts/deploy.sh does, with the AWS CLI against moto's S3, and looks at what was uploaded: each function's
code must be the very zip that was built for it.

  artifact.py MOTO_SERVER

Runs in a copy of infra/ beside small zips that stand for the functions', so that nothing has to be built. A control run names the
code in Globals, which the AWS CLI does not read there, and must be found out.
"""

import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

INFRA = pathlib.Path(__file__).resolve().parents[1]
LINE = "      CodeUri: ../target/lambda/query-fn.zip\n"
PACKAGES = {"ExportFunction": "query-fn", "ItemsFunction": "items-fn", "QueryFunction": "query-fn"}


class S3:
    """Serves moto on a port that the system chose; the server is ended with the block."""

    def __init__(self, program: str):
        # Waiting for the answer below holds where the port was taken in between: the server then ends and says so.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.server.poll() is None:
            try:
                urllib.request.urlopen(self.url + "/moto-api/", timeout=5).close()
                return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        sys.exit("moto_server did not start")

    def __exit__(self, *_) -> None:
        self.server.terminate()
        self.server.wait()


def bucket(s3: S3) -> None:
    request = urllib.request.Request(s3.url + "/packages", method="PUT", headers={"Host": f"127.0.0.1:{s3.port}"})
    urllib.request.urlopen(request, timeout=60).close()


def uploaded(s3: S3, template: str, zipped: dict[str, bytes]) -> dict[str, bytes]:
    """The code of each function that `aws cloudformation package` uploads for the template."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        shutil.copytree(INFRA, root / "infra", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "infra/app.yaml").write_text(template)
        (root / "target/lambda").mkdir(parents=True)
        for name, content in zipped.items():
            (root / f"target/lambda/{name}.zip").write_bytes(content)
        environment = os.environ | {
            "AWS_ENDPOINT_URL": s3.url, "AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull,
        }  # fmt: skip

        def aws(*arguments: str) -> None:
            subprocess.run(["aws", *arguments], cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=300)

        aws("cloudformation", "package", "--template-file", "infra/app.yaml", "--s3-bucket", "packages", "--s3-prefix", "code",
            "--use-json", "--output-template-file", "packaged.json")  # fmt: skip
        resources = json.loads((root / "packaged.json").read_text())["Resources"]
        codes = {}
        for name, given in resources.items():
            if given["Type"] == "AWS::Serverless::Function":
                uri = given["Properties"].get("CodeUri", "")
                assert uri.startswith("s3://packages/"), f"{name}: {uri}"
                aws("s3", "cp", uri, "code")
                codes[name] = (root / "code").read_bytes()
        return codes


def main(program: str) -> None:
    built = {}
    for name in sorted(set(PACKAGES.values())):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("bootstrap", f"{name}\n")
        built[name] = buffer.getvalue()
    template = (INFRA / "app.yaml").read_text()
    control = template.replace(LINE, "").replace("  Function:\n", "  Function:\n    CodeUri: ../target/lambda/query-fn.zip\n", 1)
    assert control.count("query-fn.zip") == 1, "the control template names the code once, in Globals"
    with S3(program) as s3:
        bucket(s3)
        codes = uploaded(s3, template, built)
        assert sorted(codes) == sorted(PACKAGES), sorted(codes)
        for name, code in codes.items():
            assert code == built[PACKAGES[name]], f"{name}: the upload is not the zip that was built: {zipfile.ZipFile(io.BytesIO(code)).namelist()}"
        print("each function's upload is the zip that was built")
        controlled = uploaded(s3, control, built)
        assert controlled.pop("ItemsFunction") == built["items-fn"]
        for name, code in controlled.items():
            files = zipfile.ZipFile(io.BytesIO(code)).namelist()
            assert code not in built.values() and "bootstrap" not in files, f"control: {name} has the code although only Globals name it"
        print(f"control: with the code in Globals the upload has {len(files)} files and no bootstrap")


if __name__ == "__main__":
    main(*sys.argv[1:])
