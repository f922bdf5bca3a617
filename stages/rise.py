"""The note on a training with its best epoch at the end.

It is a file of its own: `train` depends on it, and an edit of `wording` must not train again.
"""


def describe_rise(epochs: int) -> str:
    """Says that the last epoch is the best one, and which value to set.

    Args:
        epochs: Epochs trained.
    """
    return (
        f"the best epoch is the last one, so more epochs may gain: set train.epochs to {2 * epochs}"
        f" (`dvc exp run -S train.epochs={2 * epochs}`); training goes on from its last kept state"
    )
