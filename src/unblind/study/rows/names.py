"""Names of files and records that several stages share."""

from collections.abc import Mapping

#: The files of a model.
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "statistics.json")
#: Files of an adapter, of which the first carries the sidecar.
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json", "identity.json")
#: Files that make a folder a trained run: adapter, what tables tell of it, log.
RUN_FILES = (*ADAPTER_FILES, "run.json", "training.jsonl")
#: Beside an adapter of the published model: the action statistics that it was trained with.
STATISTICS = "dataset_statistics.json"
#: Every set of demonstrations or pictures has one, which names its other files by checksum.
MANIFEST = "manifest.json"
#: What represents a published checkpoint: the checksums of its files.
RECORD = "base.json"
#: Beside a base: the weights before robot pretraining.
VLM_FILE = "vlm.safetensors"

#: Domains of VL-Think, one record each (`unblind.think.domains`).
THINK_DOMAINS = (
    *("shape", "color", "traffic", "laundry", "weather", "arrow"),
    *("public_info", "parity"),
)

#: Knockouts in closed loop, one record each (`unblind.steps.knocking_out`).
KNOCKOUTS = ("nothing", "target", "target_first_half", "target_second_half", "elsewhere")

#: What models are compared with by linear probes, beside teachers: a record each.
REFERENCES = ("random", "pixels")

#: Stages whose records on what models know the audit judges claims by, each with how many of a
#: job's records: those of attention and probes that come after the first tell of no claim.
JUDGED: Mapping[str, int | None] = {
    "think": None,
    "think_answers": None,
    "probe": 1,
    "probe_teacher": None,
    "attention": 1,
    "collapse": None,
}
