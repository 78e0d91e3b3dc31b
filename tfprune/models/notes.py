"""What a builder notes on a model about its units, for `tfprune.units` to read."""


def note_unit_layers(model, names, masked_originally=None):
    """Notes which layers' outputs are the units' activities; returns the model.

    Args:
      model: a Keras model.
      names: of its unit layers, in order, without the logits.
      masked_originally: {unit layer: layer whose output the original study ablates in its place} (docs/fidelity.md).
    """
    _set(model, tuple(names), dict(masked_originally or {}))
    return model


def noted_unit_layers(model):
    """The names of the noted unit layers, or None."""
    return _get(model)[0]


def masked_originally(model):
    """{unit layer: layer whose output the original study ablates in its place}."""
    return _get(model)[1]


def copy_notes(source, target):
    """Gives `target` the notes of `source`; returns it."""
    _set(target, *_get(source))
    return target


def _get(model):
    return getattr(model, "_unit_notes", (None, {}))


def _set(model, names, masked):
    object.__setattr__(model, "_unit_notes", (names, masked))  # not through Keras: it would become part of every checkpoint
