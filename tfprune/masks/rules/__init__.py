"""The rules by which a kernel is masked, by name. A new rule is one file and one line here, and its name in `experiment.MASKS`."""
from tfprune.masks.rules.edge_popup import EdgePopup

RULES = {
    "edge_popup": EdgePopup,
}
