"""Writing the crate: files, who made them from what, and checksums.

It follows the profiles Process Run Crate, Workflow Run Crate and Provenance Run Crate 0.5 and
Workflow RO-Crate 1.0, all of them on RO-Crate 1.1. The Snakefile is the main entity; a rule is a
step; what a rule calls is a tool; each call is a CreateAction. Everything is taken from the files
and their sidecars, so that the same study gives the same bytes.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from urllib.parse import quote, unquote

from rocrate.model import Entity
from rocrate.rocrate import ROCrate

from unblind import folders
from unblind.config import Config
from unblind.custody.crate.entities import Entities
from unblind.custody.crate.steps import Step, copied, read_steps
from unblind.errors import UnblindError
from unblind.files import sha256
from unblind.study import provenance
from unblind.study.store import RESULTS

TITLE = "Don't Blind Your VLA: the simulated study as it was run"
ABOUT = (
    "Demonstrations, trained adapters, rollouts and tables of the reproduction of arXiv "
    "2510.25616, with the workflow that made them and the origin of every file."
)
#: Profiles by address, each with its name.
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
WORKFLOW = Path("Snakefile")
#: All settings of the study, written into the crate.
SETTINGS = "study.json"
#: What belongs to the workflow besides the Snakefile.
_DEFINITION = (
    *("workflow/**/*", "profiles/default/*", "environment.yml", "requirements.*"),
    *("pyproject.toml", "README.md", "CITATION.cff", "LICENSE", "NOTICE"),
)
#: Kinds of files that are too large to be published, if they are needed on the way only.
_LARGE = {".npy", ".safetensors"}
_LICENSE = "https://spdx.org/licenses/MIT"
_BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_ENGINE = "https://snakemake.github.io"
_COMPLETED = "http://schema.org/CompletedActionStatus"
_UNITS = {
    "cpu_s": ("CPU time", "https://qudt.org/vocab/unit/SEC"),
    "peak_memory_mib": ("peak memory", "https://qudt.org/vocab/unit/MebiBYTE"),
}


@dataclass(frozen=True)
class Summary:
    """What a crate holds: numbers of files, of their bytes, and of recorded calls."""

    files: int
    size: int
    calls: int


def export(config: Config, paper: Path, out: Path) -> Summary:
    """Write the study's crate to the new folder ``out``.

    Args:
        config: the study; the working folder is the root of its repository.
        paper: configuration of the published sizes.
        out: must not exist, or be empty.

    Raises:
        UnblindError: ``out`` holds something, there are no results, one was made with other
            settings, it or an input is not what its sidecar says, or the disk is full. Nothing is
            written then.
    """
    folders.check_free(out)
    if not WORKFLOW.is_file():
        raise UnblindError(f"no {WORKFLOW} here", "start the command in the repository's root")
    steps = read_steps(config, paper)
    if not any(step.is_own for step in steps):
        raise UnblindError(f"no results in {config.results}", "run: make table1")
    study = _Study(config, steps)
    with folders.new(out) as temporary:
        study.entities.crate.write(temporary)
        _check_copies(study.entities.crate, temporary)
    written = [path for path in out.rglob("*") if path.is_file()]
    return Summary(len(written), sum(path.stat().st_size for path in written), len(steps))


class _Study:
    """The study's crate; the constructor puts it together."""

    def __init__(self, config: Config, steps: list[Step]) -> None:
        made = [artifact for step in steps for artifact, _ in step.made]
        left_out = {
            product.path for product in made if product.scratch and product.path.suffix in _LARGE
        }
        self.config = config
        self.entities = Entities(Path(config.results), left_out, copied(config))
        self.root = self.entities.crate.root_dataset
        self._describe_root(max(step.ended for step in steps))
        self.workflow = self._add_workflow()
        calls = [self._add_call(number, step) for number, step in enumerate(steps, 1)]
        own = [pair for pair in zip(steps, calls, strict=True) if pair[0].is_own]
        self._add_orchestration(own, self._add_run(own))

    def _describe_root(self, ended: datetime) -> None:
        self.root["name"], self.root["description"] = TITLE, ABOUT
        self.root["datePublished"] = ended.isoformat(timespec="seconds")
        self.root["license"] = self.entities.add(_LICENSE, "CreativeWork", name="MIT License")
        authors = self.entities.add("#authors", "Organization", name="unblind authors")
        self.root["author"] = self.root["publisher"] = authors
        self.root["conformsTo"] = [
            self.entities.add(uri, "CreativeWork", name=name, version=uri.rsplit("/", 1)[1])
            for uri, name in PROFILES.items()
        ]

    def _add_workflow(self) -> Entity:
        """Add the Snakefile and the files that belong to it."""
        workflow = self.entities.crate.add_workflow(
            *(WORKFLOW, WORKFLOW.as_posix()),
            main=True,
            lang="snakemake",
            lang_version=version("snakemake"),
            properties={
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
                "name": TITLE,
                "version": version("unblind"),
                "conformsTo": {"@id": _BIOSCHEMAS},
                **self.entities.properties(WORKFLOW),
            },
        )
        for path in sorted({path for pattern in _DEFINITION for path in Path().glob(pattern)}):
            if path.is_file():
                entity = self.entities.file(path)
                if path.name == "README.md":
                    entity["about"] = self.root
        return workflow

    def _add_call(self, number: int, step: Step) -> Entity:
        """Add one call of a command: inputs, results with their sidecars, settings, cost."""
        facts, artifact = step.facts, self.entities.artifact
        first = step.made[0][0].path
        results = []
        for product, meta in step.made:
            results.append(artifact(product.path, meta.sha256, product.path))
            self.entities.file(provenance.sidecar_path(product.path))["about"] = results[-1]
            results += [self.entities.file(path) for path in product.beside if path.is_file()]
        objects = [artifact(Path(p), sha, first) for p, sha in facts.inputs.items()]
        changed = ", with local changes" if facts.dirty else ""
        return self._add_action(
            f"#call-{number}",
            name=f"{step.job.stage.title}: {self._shown(first)}",
            description=f"{step.job.call} at commit {facts.commit}{changed}; "
            f"code with SHA-256 {facts.code_hash}",
            instrument=self._tool(step),
            object=[*objects, *self._values(number, step)],
            result=results,
            resourceUsage=list(self._costs(number, step)),
            **_times(step.started, step.ended),
        )

    def _shown(self, path: Path) -> str:
        """Return the folder of a result below the results; its own name where there is none."""
        results = next((p for p in (self.config.results, RESULTS) if path.is_relative_to(p)), "")
        below = path.relative_to(results)
        return path.name if below == Path(path.name) else below.parent.as_posix()

    def _tool(self, step: Step) -> Entity:
        """Return the command that a step calls."""
        return self.entities.add(
            f"#unblind-{quote(step.job.stage.command.replace(' ', '-'))}",
            "SoftwareApplication",
            name=f"unblind {step.job.stage.command}",
            description=step.job.stage.title,
            softwareVersion=step.facts.packages.get("unblind") or "unknown",
        )

    def _values(self, number: int, step: Step) -> Iterator[Entity]:
        """Yield the settings and the seed that a step's result depends on."""
        settings = {"settings": json.dumps(step.facts.config, sort_keys=True)}
        settings |= {} if step.facts.seed is None else {"seed": str(step.facts.seed)}
        for name, value in settings.items():
            identifier = f"#call-{number}-{name}"
            yield self.entities.add(identifier, "PropertyValue", name=name, value=value)

    def _costs(self, number: int, step: Step) -> Iterator[Entity]:
        for key, (name, unit) in _UNITS.items():
            yield self.entities.add(
                f"#call-{number}-{key}",
                "PropertyValue",
                name=name,
                propertyID=key,
                unitCode=unit,
                value=str(getattr(step, key)),
            )

    def _add_run(self, own: list[tuple[Step, Entity]]) -> Entity:
        """Add the run as one action, from what no step made to what no step reads."""
        text = json.dumps(self.config.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"
        settings = self.entities.crate.add_file(
            StringIO(text),
            SETTINGS,
            properties={
                "name": "all settings of the study",
                "contentSize": str(len(text.encode())),
                "encodingFormat": "application/json",
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
            },
        )
        read = dict.fromkeys(thing for _, call in own for thing in _many(call["object"]))
        made = dict.fromkeys(thing for _, call in own for thing in _many(call["result"]))
        read = [thing for thing in read if thing.type != "PropertyValue"]
        return self._add_action(
            "#run",
            name=TITLE,
            description=f"snakemake --cores all, at scale {self.config.scale}",
            instrument=self.workflow,
            object=[settings, *(thing for thing in read if thing not in made)],
            result=[thing for thing in made if thing not in read],
            **_times(min(step.started for step, _ in own), max(step.ended for step, _ in own)),
        )

    def _add_orchestration(self, own: list[tuple[Step, Entity]], run: Entity) -> None:
        """Add the workflow's steps in order, and that Snakemake started the calls."""
        tools: dict[str, dict[Entity, None]] = {}
        for step, call in own:
            tools.setdefault(step.job.rule, {})[call["instrument"]] = None
        rules = {
            rule: self.entities.add(
                f"{WORKFLOW}#{rule}",
                "HowToStep",
                name=rule,
                position=str(position),
                workExample=list(tools[rule]),
            )
            for position, rule in enumerate(tools)
        }
        self.workflow["step"] = list(rules.values())
        self.workflow["hasPart"] = [tool for some in tools.values() for tool in some]
        controls = [
            self.entities.add(
                f"{call.id.replace('call', 'control')}",
                "ControlAction",
                name=f"Snakemake starts {step.job.call}",
                instrument=rules[step.job.rule],
                object=call,
            )
            for step, call in own
        ]
        self._add_engine(controls, run)

    def _add_engine(self, controls: list[Entity], run: Entity) -> None:
        """Add that Snakemake built the study by starting the calls."""
        engine = self.entities.add(
            _ENGINE,
            "SoftwareApplication",
            name="Snakemake",
            softwareVersion=version("snakemake"),
            url=_ENGINE,
        )
        self.entities.add(
            "#organize",
            "OrganizeAction",
            name="Snakemake builds the study",
            instrument=engine,
            object=controls,
            result=run,
        )

    def _add_action(self, identifier: str, **properties: object) -> Entity:
        action = self.entities.add(identifier, "CreateAction", **properties)
        self.root.append_to("mentions", action)
        return action


def _many(value: Entity | list[Entity]) -> list[Entity]:
    return value if isinstance(value, list) else [value]


def _check_copies(crate: ROCrate, folder: Path) -> None:
    """Raise an error if a file changed between being read and being copied."""
    for entity in crate.data_entities:
        name = unquote(entity.id)
        if sha256(folder / name) != entity["sha256"]:
            raise UnblindError(f"{name} changed meanwhile", "wait until nothing writes, try again")


def _times(started: datetime, ended: datetime) -> dict[str, str]:
    return {
        "actionStatus": _COMPLETED,
        "startTime": started.isoformat(timespec="seconds"),
        "endTime": ended.isoformat(timespec="seconds"),
    }
