# What all rules share. `STUDY` checks the configuration and this call; `unblind.workflow.patches`
# says what is patched in Snakemake, and why.

import sys

from snakemake.utils import validate

from unblind.workflow import patches
from unblind.workflow.study import start

STUDY = start(
    ["workflow/config/mini.yaml", *workflow.overwrite_configfiles],
    workflow.config_settings.config,
)
# Snakemake's own merge knows no file that extends another.
config = STUDY.values
# Defaults are left out: each would be an option of every command.
validate(config, "../config/schema.json", set_default=False)


onstart:
    STUDY.lock()


onerror:
    print(STUDY.explain_silence(), file=sys.stderr)


shell.prefix(STUDY.preamble())


wildcard_constraints:
    run="|".join(STUDY.config.runs),
    seed="[0-9]+",
