"""Is a crate what its profiles demand? Asked of roc-validator, in an environment of its own.

Needs nothing of this project (docs/storage.md):

    python3 -m venv /tmp/validator
    /tmp/validator/bin/pip install roc-validator==0.13.0
    /tmp/validator/bin/python tests/custody/with_validator.py study-crate

The validator reads the two contexts that a crate names from their addresses. Where these cannot
be reached, a folder with both files takes their place: RO-Crate 1.1's as ``ro-crate.jsonld`` (the
package rocrate 0.11.0 has it) and the terms of workflow runs as ``workflow-run.json``.

    /tmp/validator/bin/python tests/custody/with_validator.py study-crate contexts
"""

import sys
import tempfile
from pathlib import Path

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.utils.http import HttpRequester
from urllib3 import HTTPResponse

PROFILES = (
    "process-run-crate-0.5",
    "workflow-ro-crate-1.0",
    "workflow-run-crate-0.5",
    "provenance-run-crate-0.5",
)
FILES = {
    "https://w3id.org/ro/crate/1.1/context": "ro-crate.jsonld",
    "https://w3id.org/ro/terms/workflow-run/context": "workflow-run.json",
}


class Contexts(HTTPAdapter):
    """Answers for the addresses of contexts with the files of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def send(self, request: PreparedRequest, **options: object) -> Response:
        """Return the file that lies at an address."""
        raw = HTTPResponse(
            body=open(self._folder / FILES[request.url], "rb"),
            headers={"Content-Type": "application/ld+json"},
            status=200,
            preload_content=False,
            request_url=request.url,
        )
        return self.build_response(request, raw)


def problems(crate: Path, profile: str, severity: Severity, contexts: Path | None) -> list[str]:
    """Return what a crate lacks of a profile, a line each."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        if contexts is not None:
            _fill(cache, contexts)
        settings = ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier=profile,
            requirement_severity=severity,
            cache_path=cache,
            offline=contexts is not None,
        )
        result = services.validate(settings)
    issues = result.get_issues(severity)
    lines = [f"{i.severity.name} {i.violatingEntity}: {i.message}" for i in issues]
    print(f"{profile}: {len(lines)} problems, {len(result.skipped_checks)} checks skipped")
    return lines + [f"SKIPPED {check.identifier}" for check in result.skipped_checks]


def _fill(cache: Path, contexts: Path) -> None:
    """Put the files of contexts where the validator keeps what it has fetched."""
    HttpRequester.initialize_cache(cache_path=str(cache), offline=False)
    session = HttpRequester().session
    session.mount("https://", Contexts(contexts))
    for address in FILES:
        session.get(address, headers={"Accept": "application/ld+json, application/json"})


def main(crate: str, contexts: str | None = None, severity: str = "REQUIRED") -> int:
    """Check a crate by all profiles; 1 if it lacks something that they demand."""
    folder = Path(contexts) if contexts else None
    found = [
        line for p in PROFILES for line in problems(Path(crate), p, Severity[severity], folder)
    ]
    print("\n".join(dict.fromkeys(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
