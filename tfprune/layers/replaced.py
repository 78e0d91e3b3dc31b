"""Running a layer with other weights than its own, for the length of a call."""
import contextlib


@contextlib.contextmanager
def replaced(layer, **attributes):
    """Run a layer with other values (a kernel, say) in place of its own, which come back afterwards.

    Goes past Keras' attribute tracking on purpose: a tensor put there for one call must not become part of the model.
    """
    own = {name: layer.__dict__[name] for name in attributes}
    layer.__dict__.update(attributes)
    try:
        yield
    finally:
        layer.__dict__.update(own)
