"""A real S3-compatible server over HTTP (moto's), in a process of its own."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.schedule.outlets.receiving import free_port

BUCKET = "example-hopcheck"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_REGION": "ap-northeast-2",
    "AWS_DEFAULT_REGION": "ap-northeast-2",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_server(directory: Path) -> Iterator[str]:
    """The server's endpoint URL; BUCKET exists."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (directory / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log, stderr=log, env=os.environ | ENVIRONMENT,
        )  # fmt: skip
    try:
        end = time.monotonic() + 30
        while True:
            assert process.poll() is None, (directory / "s3.log").read_text()
            assert time.monotonic() < end, "the S3 server does not come up"
            try:
                request = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")
                with urllib.request.urlopen(request, timeout=2):
                    break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)
