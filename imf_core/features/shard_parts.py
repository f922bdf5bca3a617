"""Parts of shards: which pictures make up which chunk of an extraction.

Apart from `shards`, so that whatever only reads pictures need not wait for PyTorch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imf_core.artifacts import count_parquet_rows, read_parquet


@dataclass(frozen=True)
class ShardPart:
    """Neighbouring pictures of one shard.

    Attributes:
        shard: The file.
        start: The row of the first one.
        size: How many, or fewer at the end of the shard.
    """

    shard: Path
    start: int
    size: int

    def read(self) -> list[bytes]:
        """Reads the pictures.

        Raises:
            DataError: If the file is missing or damaged.
        """
        images = read_parquet(self.shard)["image"]
        pictures: list[bytes] = images.slice(self.start, self.size).to_pylist()
        return pictures


def cut_shards(shards: Sequence[Path], size: int) -> Iterator[ShardPart]:
    """Cuts each shard into parts of `size` pictures, the last one of a shard smaller."""
    for shard in map(Path.absolute, shards):  # to be read by processes in other folders
        for start in range(0, count_parquet_rows(shard), size):
            yield ShardPart(shard, start, size)
