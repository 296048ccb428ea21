"""What the simulator may know, so that models and data can be changed without it."""

from imports import imports, inside

_BELOW = inside(f"unblind.{name}" for name in ("config", "errors", "files", "machine")) | {
    "unblind"
}


def _beyond(package, allowed):
    own = inside([package])
    return {(module, other) for module in own for other in imports(module) - own - allowed}


def test_the_simulator_knows_no_model_and_no_data():
    assert _beyond("unblind.sim", _BELOW) == set()


def test_the_catalogs_types_know_none_of_the_catalogs():
    assert not imports("unblind.sim.catalog") & inside(["unblind.sim"])
