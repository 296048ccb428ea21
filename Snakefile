# The study as one graph. Build everything: snakemake --cores all
# One target: snakemake --cores all results/table1.md     Dry run: snakemake -n
# Another size: snakemake --cores all --configfile workflow/config/paper.yaml
# One self-contained page of what was run, once all is made: snakemake --report results/report.html
# Rules only call the command line `unblind`; settings are explained in workflow/config/schema.json.

from snakemake.utils import min_version

min_version("9.27")


configfile: "workflow/config/mini.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/stages.smk"


rule all:
    default_target: True
    input:
        STUDY.pages(),


patches.check_report(patches.command_line(), STUDY.pages())
