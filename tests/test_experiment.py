"""Experiments: overrides are typed and checked, names and hashes say what was changed."""
import dataclasses
import json

import pytest

from experiments import REGISTRY
from tests.conftest import ROOT
from tfprune.experiment import Experiment, UserError, derive_seed
from tfprune.overrides import QUIRKS, override
from tfprune.settings import GROUPS


@pytest.mark.parametrize(("assignment", "value"), [
    ("hyper.batch_size=64", 64), ("hyper.learning_rate=1e-3", 1e-3), ("hyper.learning_rate=1", 1.0), ("dataset.random_labels=true", True),
    ("dataset.shuffle=0", False), ("dataset.resize=tf1", "tf1"), ("measure.kinds=noise,knockout", ("noise", "knockout")),
    ("dnn.neuron_multiplier=0.125", 0.125), ("dnn.features=3, 4,4", (3, 4, 4)), ("dataset.limit=10000", 10000)])
def test_set_parses_by_the_type_of_the_field(assignment, value):
    group, name = assignment.partition("=")[0].split(".")
    changed = getattr(getattr(override(REGISTRY[2], [assignment]), group), name)
    assert changed == value and type(changed) is type(value)


@pytest.mark.parametrize("assignment", [
    "hyper.batch_size=abc", "hyper.batch_size=0", "hyper.batch_size=1.5", "hyper.learning_rate=nan", "hyper.learning_rate=inf",
    "hyper.learning_rate=0", "hyper.drop_train=1.5", "dataset.random_labels=maybe", "dataset.resize=cubic", "hyper.optimizer=9",
    "measure.kinds=", "measure.kinds=noise,noise", "measure.kinds=bogus", "measure.amounts=1",
    "dnn.features=", "dnn.features=3,0", "dnn.features=3,x", "dnn.features=1.5", f"dnn.features={2**31}"])
def test_set_refuses_values_and_says_what_is_accepted(assignment):
    with pytest.raises(UserError, match=f"--set {assignment}: .* takes "):
        override(REGISTRY[2], [assignment])


@pytest.mark.parametrize("assignment", [
    "hyper.foo=1", "foo.bar=1", "batch_size=3", "hyper.batch_size", "=", "hyper.=1", "id.x=3", "hyper.__class__=1"])
def test_set_refuses_unknown_fields(assignment):
    with pytest.raises(UserError, match="--set"):
        override(REGISTRY[2], [assignment])


def test_what_names_a_run():
    plain = REGISTRY[2]
    assert override(plain) == dataclasses.replace(plain, registered_measure=plain.measure)
    assert override(plain, seed=1).name == plain.name.replace("seed=0", "seed=1")
    trained = override(plain, ["hyper.batch_size=64"])
    assert trained.name == f"{plain.name}+{trained.trained_hash()[:8]}"
    assert override(plain, ["hyper.batch_size=128"]).name == plain.name, "the registered value again changes nothing"
    assert override(plain, ["measure.max_rows=7"]).name == plain.name, "measuring otherwise needs no new net"
    assert override(plain, fidelity="original").name != plain.name
    assert override(REGISTRY[0], seed=3).name == "ID0_data_1_seed=3"


@pytest.mark.parametrize("experiment_id", [2, 5025, 6000])
def test_every_quirk_is_a_field_and_original_switches_all(experiment_id):
    ours = REGISTRY[experiment_id]
    original = override(ours, fidelity="original")
    for key in QUIRKS[ours.study]:
        group, name = key.split(".")
        assert getattr(getattr(original, group), name) != getattr(getattr(ours, group), name)
    assert override(REGISTRY[2], ["dataset.split=clean"], fidelity="original").dataset.split == "clean"


def test_tags_name_only_the_stages_whose_measure_changed():
    changed = override(REGISTRY[2], ["measure.kinds=noise"])
    assert changed.tag("crosses", "max_rows") == "" and changed.tag("kinds").startswith("+")
    assert override(REGISTRY[2], fidelity="original").tag("fidelity") == "", "fidelity already names the run"


def test_hash_ignores_defaults_and_sees_every_setting():
    base = Experiment(1, "a", "s")
    assert base.config_hash() == Experiment(2, "b", "t", "f").config_hash(), "names do not enter"
    hashes = {base.config_hash()}
    for group in GROUPS:
        for field in dataclasses.fields(getattr(base, group)):
            other = _another(field)
            settings = dataclasses.replace(getattr(base, group), **{field.name: other})
            hashes.add(dataclasses.replace(base, **{group: settings}).config_hash())
    assert len(hashes) == 1 + sum(len(dataclasses.fields(getattr(base, group))) for group in GROUPS)


def _another(field):
    if field.type is bool:
        return not field.default
    if field.type is str or field.type is tuple:
        other = next((choice for choice in field.metadata["choices"] or ("x",) if choice not in (field.default, *field.default)),
                     field.default[0] if field.default else None)
        return other if field.type is str else (other,)
    return field.default + 1


def test_hashes_are_pinned():
    pinned = json.loads((ROOT / "tests" / "golden_experiments.json").read_text())
    assert pinned == {str(e.id): e.config_hash() for e in REGISTRY.values()}


def test_derived_seeds_differ_by_purpose_and_are_stable():
    assert derive_seed(0, "order", 3) == derive_seed(0, "order", 3) != derive_seed(0, "order", 4)
    assert derive_seed(0, "init/conv1") == REGISTRY[2].seed_for("init/conv1")
    assert 0 <= derive_seed(1, "x") < 2**31
