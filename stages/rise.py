"""The note on a training whose last epoch is its best one.

Apart from `wording`, which reads how answers are worded: what changes there must not train again.
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
