"""What the profiles demand of a crate, checked without a network.

Every MUST of RO-Crate 1.1, Workflow RO-Crate 1.0 and of Process, Workflow and Provenance Run Crate
0.5 that concerns something this project's crates have. Types and terms are those of the contexts
that the crate names.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

PROFILES = (
    "https://w3id.org/ro/wfrun/process/",
    "https://w3id.org/ro/wfrun/workflow/",
    "https://w3id.org/ro/wfrun/provenance/",
)
SOFTWARE = {"SoftwareApplication", "SoftwareSourceCode", "ComputationalWorkflow"}
THINGS = {"File", "Dataset", "Collection", "CreativeWork", "PropertyValue"}


def many(value) -> list:
    """Return what a property holds as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


class Graph:
    """The entities of a crate by identifier."""

    def __init__(self, document: dict):
        self.context = document["@context"]
        self.order = [entity["@id"] for entity in document["@graph"]]
        self.entities = {entity["@id"]: entity for entity in document["@graph"]}

    def types(self, identifier: str) -> set[str]:
        return set(many(self.entities.get(identifier, {}).get("@type")))

    def of_type(self, kind: str) -> list[dict]:
        return [self.entities[name] for name in self.order if kind in self.types(name)]

    def linked(self, entity: dict, name: str) -> list[str]:
        return [value["@id"] for value in many(entity.get(name))]

    def root(self) -> dict:
        return self.entities["./"]

    def workflow(self) -> dict:
        (name,) = self.linked(self.root(), "mainEntity")
        return self.entities[name]


def problems(document: dict, folder: Path) -> list[str]:
    """Return what is wrong with a crate in `folder`; nothing if it conforms."""
    graph = Graph(document)
    checks = (_structure, _root, _workflow, _actions, _orchestration)
    return [*(line for check in checks for line in check(graph)), *_payload(graph, folder)]


def _structure(graph: Graph) -> Iterator[str]:
    if graph.context[0] != "https://w3id.org/ro/crate/1.1/context":
        yield "the context of RO-Crate 1.1 is missing"
    if len(graph.order) != len(graph.entities):
        yield "an identifier stands twice"
    for name, entity in graph.entities.items():
        if not graph.types(name):
            yield f"{name} has no type"
        for key, values in entity.items():
            for value in many(values):
                if isinstance(value, dict) and set(value) != {"@id"}:
                    yield f"{name}: {key} is not flat"
                known = not isinstance(value, dict) or value["@id"] in graph.entities
                if not known and "://" not in value["@id"]:
                    yield f"{name}: {key} names the unknown {value['@id']}"


def _root(graph: Graph) -> Iterator[str]:
    descriptor = graph.entities.get("ro-crate-metadata.json", {})
    if graph.linked(descriptor, "about") != ["./"]:
        yield "the descriptor is not about the root"
    if "https://w3id.org/ro/crate/1.1" not in graph.linked(descriptor, "conformsTo"):
        yield "the descriptor does not name RO-Crate 1.1"
    root = graph.root()
    for key in ("name", "description", "datePublished", "license", "hasPart", "mainEntity"):
        if not root.get(key):
            yield f"the root has no {key}"
    named = [n for n in graph.linked(root, "conformsTo") if "CreativeWork" in graph.types(n)]
    for profile in PROFILES:
        if not any(name.startswith(profile) for name in named):
            yield f"the root does not conform to {profile}"


def _workflow(graph: Graph) -> Iterator[str]:
    workflow = graph.workflow()
    wanted = {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"}
    if not wanted <= graph.types(workflow["@id"]):
        yield "the main entity is no workflow with steps"
    (language,) = graph.linked(workflow, "programmingLanguage") or [""]
    if "ComputerLanguage" not in graph.types(language):
        yield "the workflow has no language"
    tools = graph.linked(workflow, "hasPart")
    used = {name for a in graph.of_type("CreateAction") for name in graph.linked(a, "instrument")}
    for tool in tools or [""]:
        if not SOFTWARE & graph.types(tool):
            yield f"the workflow's part {tool} is no software"
        if tool not in used:
            yield f"no action uses {tool}"
    yield from _steps(graph, tools)


def _steps(graph: Graph, tools: list[str]) -> Iterator[str]:
    steps = graph.linked(graph.workflow(), "step")
    for step in graph.of_type("HowToStep"):
        if step["@id"] not in steps:
            yield f"{step['@id']} is no step of the workflow"
        if not graph.linked(step, "workExample"):
            yield f"{step['@id']} names no tool"
        if not set(graph.linked(step, "workExample")) <= set(tools):
            yield f"{step['@id']} names a tool that the workflow lacks"
        if not str(step.get("position", "0")).isdigit():
            yield f"{step['@id']} has no number"


def _actions(graph: Graph) -> Iterator[str]:
    main = graph.workflow()["@id"]
    actions = graph.of_type("CreateAction")
    if sum(main in graph.linked(action, "instrument") for action in actions) != 1:
        yield "not exactly one action runs the workflow"
    mentioned = graph.linked(graph.root(), "mentions")
    for action in actions:
        name = action["@id"]
        if name not in mentioned:
            yield f"the root does not mention {name}"
        if not any(SOFTWARE & graph.types(i) for i in graph.linked(action, "instrument")):
            yield f"{name} uses no software"
        if not action.get("name") or not action.get("endTime"):
            yield f"{name} has no name or no end"
        for thing in graph.linked(action, "object") + graph.linked(action, "result"):
            if not THINGS & graph.types(thing):
                yield f"{name} reads or makes {thing}, which is no data"
        usages = graph.linked(action, "resourceUsage")
        if not all(graph.entities[usage].get("propertyID") for usage in usages):
            yield f"{name} took something without a name"


def _orchestration(graph: Graph) -> Iterator[str]:
    creations = {action["@id"] for action in graph.of_type("CreateAction")}
    controls = {action["@id"] for action in graph.of_type("ControlAction")}
    for control in graph.of_type("ControlAction"):
        if not all("HowToStep" in graph.types(i) for i in graph.linked(control, "instrument")):
            yield f"{control['@id']} is of no step"
        if not control.get("instrument") or not set(graph.linked(control, "object")) <= creations:
            yield f"{control['@id']} controls no action"
    (organize,) = graph.of_type("OrganizeAction")
    if not all(SOFTWARE & graph.types(i) for i in graph.linked(organize, "instrument")):
        yield "no software organises the run"
    if set(graph.linked(organize, "object")) != controls:
        yield "an action is controlled by nobody"
    (result,) = graph.linked(organize, "result")
    if result not in creations:
        yield "what is organised is no run"


def _payload(graph: Graph, folder: Path) -> Iterator[str]:
    parts = graph.linked(graph.root(), "hasPart")
    files = [entity["@id"] for entity in graph.of_type("File")]
    for name in files:
        if name not in parts:
            yield f"{name} is no part of the root"
        if name.startswith(("/", "#")) or ".." in name or "://" in name:
            yield f"{name} is no path in the crate"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    told = {unquote(name) for name in files} | {"ro-crate-metadata.json"}
    for name in there ^ told:
        yield f"{name} is {'not described' if name in there else 'missing'}"
