"""The rules by which a kernel is masked, by name. A new rule is one file and one line here, and its name in `settings.MASKS`."""
from tfprune.masks.rules.biprop import Biprop
from tfprune.masks.rules.dnw import DNW
from tfprune.masks.rules.edge_popup import EdgePopup
from tfprune.masks.rules.fixed import Fixed
from tfprune.masks.rules.iterand import IteRand
from tfprune.masks.rules.random import Random
from tfprune.masks.rules.sampled import Sampled
from tfprune.masks.rules.signed import Signed

RULES = {
    "edge_popup": EdgePopup,
    "sampled": Sampled,
    "fixed": Fixed,
    "signed": Signed,
    "dnw": DNW,
    "random": Random,
    "iterand": IteRand,
    "biprop": Biprop,
}
