"""The flags of akshaybadola/decomposing-the-deep and class_specific_cnn, and what each sets here.

Those that allenai/hidden-networks has too (--lr, -b, --batch-size) stand in tfprune/recipe_words.py; -i, -w and --gpu, which are no
settings, in decompose.py.
"""
from tfprune.recipe_words import Word

WORDS = {
    "k": Word("dnn.top"),
    "frozen": Word(values={"true": ("training.trainer=head",), "false": ("training.trainer=default",)}, switch=True),
    "layer": Word("measure.layer"),
}
ALIASES = {"n": "epochs", "num_epochs": "epochs", "layer_name": "layer"}
