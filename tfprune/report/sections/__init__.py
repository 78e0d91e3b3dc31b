"""The page's sections of results: a file each, with `section(runs)`, the `Section` that these runs make, or None."""
SECTIONS = ("width", "supermasks", "features", "filters", "pruning")  # in the page's order
