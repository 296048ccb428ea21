"""An audit with every kind of claim, every verdict and hostile text; no number is real."""

from unblind.audit.verdicts import VERDICTS

EVIL = """<script>document.title = "broken"</script> & "quotes" 'single' </code></table>"""


def claim(name, kind, verdict, **changes):
    values = {
        "id": name,
        "kind": kind,
        "table": None,
        "row": None,
        "column": None,
        "text": f"What {name} says",
        "title": None,
        "label": None,
        "paper": None,
        "ours": None,
        "effect": None,
        "unit": None,
        "verdict": verdict,
        "why": "Because of the numbers.",
        "origin": None,
        "commit": None,
        "records": [],
        "command": f"unblind audit --cell {name}",
    }
    assert set(changes) <= set(values)
    return values | changes


def measured(run, column):
    return {
        "ours": {"value": 0.3125, "low": 0.1416, "high": 0.556, "n": 16},
        "origin": "recomputed",
        "commit": "0123456789abcdef0123 | fedcba9876543210fedc",
        "records": [f"results/rollouts/{run}/0/{column}.parquet"],
    }


def effect(delta):
    values = {"delta": delta, "low": delta - 0.02, "high": delta + 0.02, "n": 208, "won": 31}
    p = 0.16 if abs(delta) < 0.01 else 0.0004
    values |= {"lost": 20, "p": p, "p_holm": 1.0, "cohens_h": 0.05, "detectable": 0.061}
    values |= {"first": 0.4, "second": 0.4 - delta, "wilcoxon": None, "clusters": None}
    return values | {"family": 4}


def of_figure(delta):
    counts = {"won": None, "lost": None, "cohens_h": None, "n": 48, "clusters": 12}
    return effect(delta) | counts | {"detectable": None, "family": 2}


def table_claims():
    for column in ("Carrot", "Tex03", "Position"):
        paper = {"value": 0.61, "spread": 0.01}
        values = {"table": "1", "row": "align", "column": column, "paper": paper}
        name = f"1/align/{column}"
        yield claim(name, "value", "not comparable", **values, **measured("align", column))
    for row in ("layer-8", "lambda-0.5"):
        paper = {"value": 0.605, "spread": None}
        yield claim(f"10/{row}/semantic", "value", "not run", table="10", row=row, paper=paper)


def ordering_claims():
    first, second = measured("align", "Carrot"), measured("default", "Carrot")
    both = {"origin": "cached", "commit": first["commit"]}
    both["records"] = first["records"] + second["records"]
    for verdict, delta in (
        *(("reproduced", 0.09), ("cached", 0.08), ("contradicted", -0.09), ("inconclusive", 0.005)),
    ):
        said = {"table": "1", "effect": effect(delta), "paper": {"value": 0.12, "spread": None}}
        said |= {"title": "Align beats Default", "label": f"on {verdict}", "unit": "points"}
        yield claim(verdict, "ordering", verdict, **said, **both)
    said = {"table": "Figure 4", "title": "Attention leaves", "unit": "in lift"}
    yield claim("lift", "ordering", "inconclusive", effect=of_figure(-0.2), **said, **both)
    yield claim("lift-of-align", "ordering", "not run", label="aligned layer", **said)


def audit():
    """Return a made-up audit with every kind, every verdict and hostile text."""
    setting = {"value": 0.2, "low": None, "high": None, "n": None}
    claims = [
        *table_claims(),
        *ordering_claims(),
        claim("sum-of-rows", "arithmetic", "confirmed", text=EVIL, command=f"unblind {EVIL}"),
        claim("mean-of-table", "arithmetic", "not confirmed", table="2"),
        claim("backbone-width", "text", "not comparable", paper={"value": 4096.0, "spread": None}),
        claim("weight", "text", "same setting", paper={"value": 0.2, "spread": None}, ours=setting),
    ]
    counts = {name: sum(one["verdict"] == name for one in claims) for name in VERDICTS}
    defect = {
        "area": "simulator",
        "where": "env/put_on_plate.py, line 12",
        "released": "a quaternion in the wrong order",
        "corrected": "the right order",
        "consequence": "objects lie on their side",
    }
    shown = {"released": "xyzw", "corrected": "wxyz", "shown": True}
    values = {"source": f"Somebody's page {EVIL}", "n": "not stated", "protocol": "Ours, nearly."}
    rows = {"one": {"label": f"One {EVIL}", "weights": "owner/one", "values": [0.25, 0.4211]}}
    others = values | {
        "id": "s",
        "not_compared": "Anything.",
        "columns": ["ID", EVIL],
        "rows": rows,
    }
    return {
        "schema": 1,
        "scale": "mini",
        "remark": "4 M parameters are no evidence about 7 B.",
        "facts": {"commits": ["0123456789abcdef"], "config": "fedcba9876543210", "seeds": [0]}
        | {"dirty": False},
        "counts": counts,
        "claims": claims,
        "elsewhere": [others],
        "defects": [
            defect | {"id": "D1", "title": "Turned", "check": shown, "why_not": None},
            defect | {"id": "D2", "title": "Lost", "check": None, "why_not": "needs its data"},
            defect
            | {"id": "D3", "title": "Gone", "check": shown | {"shown": False}, "why_not": None},
        ],
        "costs_of_defects": None,
        "integrity": [{"path": "results/rollouts/align/0/Carrot.parquet", "problem": "changed"}],
    }
