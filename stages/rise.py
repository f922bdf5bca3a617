"""The note on a training with its best epoch at the end.

It is a separate file: `train` depends on it, and an edit of `wording` must not rerun training.
"""


def describe_rise(epochs: int) -> str:
    """Formats the advice for a best epoch that is the last one.

    Args:
        epochs: Epochs trained.
    """
    return (
        f"the best epoch is the last one, so more epochs may gain: set train.epochs to {2 * epochs}"
        f" (`dvc exp run -S train.epochs={2 * epochs}`); training goes on from its last kept state"
    )
