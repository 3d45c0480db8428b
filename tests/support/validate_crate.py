"""Validate a research object with roc-validator, without any network.

`python validate_crate.py FOLDER` prints the checks and issues as JSON. It runs in the environment
`.venv/crate`, which has neither this project nor its tests: this file imports nothing of them. The
context that crates name is read from the package `rocrate`; any other address is refused.
"""

from __future__ import annotations

import email.message
import io
import json
import sys
import urllib.request
import urllib.response
from importlib.resources import files

import requests
from requests.adapters import HTTPAdapter
from rocrate_validator import models, services

ADDRESS = "/ro/crate/1.1/context"


def known(address: str) -> bytes:
    if not address.endswith(ADDRESS):
        raise OSError(f"no network here: {address}")
    return (files("rocrate") / "data" / "ro-crate.jsonld").read_bytes()


class Opener(urllib.request.BaseHandler):
    handler_order = 1

    def https_open(self, request):
        headers = email.message.Message()
        headers["Content-Type"] = "application/ld+json"
        data = io.BytesIO(known(request.full_url))
        return urllib.response.addinfourl(data, headers, request.full_url, 200)

    http_open = https_open


def send(_, request, **__):
    answer = requests.Response()
    answer.url, answer.request = request.url, request
    answer.status_code, answer._content = 200, known(request.url)
    answer.headers["Content-Type"] = "application/ld+json"
    return answer


def main() -> None:
    urllib.request.install_opener(urllib.request.build_opener(Opener))
    HTTPAdapter.send = send
    settings = models.ValidationSettings(
        rocrate_uri=sys.argv[1],
        profile_identifier="process-run-crate",
        requirement_severity="RECOMMENDED",
        no_cache=True,
    )
    found = services.validate(settings)
    issues = [[it.severity.name, it.check.identifier, it.message] for it in found.get_issues()]
    checks = sorted(it.identifier for it in found.executed_checks)
    print(json.dumps({"checks": checks, "issues": issues}))  # noqa: T201 (its answer)


if __name__ == "__main__":
    main()
