"""The graph as Snakemake runs it: what `workflow/rules` is made of, and patches of Snakemake."""
