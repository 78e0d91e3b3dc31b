"""Compiled functions of a split, made once: to trace one anew would cost each epoch 0.1 s."""
import weakref

_FUNCTIONS = weakref.WeakKeyDictionary()  # split -> {what for: function}


def made_once(split, key, build):
    """What `build()` gives, made once for a split and the settings in `key`; it goes when the split goes."""
    functions = _FUNCTIONS.setdefault(split, {})
    if key not in functions:
        functions[key] = build()
    return functions[key]
