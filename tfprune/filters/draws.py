"""What a table of draws says: the mean and the spread of its accuracies."""


def summarise(table, by=("noise", "where")):
    """Accuracies of a table of `essentiality`: DataFrame with the columns `by`, and the `mean` and `sd` of the draws (standard deviation
    with n - 1; NaN of a single one).

    Args:
      by: columns to keep apart; without "class" the accuracies are those over all images.
    """
    sums = table.groupby([*by, "draw"], sort=False)[["correct", "examples"]].sum()
    accuracies = (sums["correct"] / sums["examples"]).groupby(list(by), sort=False)
    return accuracies.agg(["mean", "std"]).rename(columns={"std": "sd"}).reset_index()
