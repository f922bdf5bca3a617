"""Parts of shards: the pictures of each chunk of an extraction.

Separate from `shards`, so that tasks that only read pictures do not import PyTorch.
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
        start: Row of the first one.
        size: Number of pictures; fewer at the end of the shard.
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
    for shard in map(Path.absolute, shards):  # for readers with other working folders
        for start in range(0, count_parquet_rows(shard), size):
            yield ShardPart(shard, start, size)
