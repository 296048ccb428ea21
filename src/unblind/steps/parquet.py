"""Writing the records of steps."""

from pathlib import Path
from typing import TYPE_CHECKING

from unblind import files

if TYPE_CHECKING:
    import pyarrow as pa


def write(path: Path, table: "pa.Table", compression: str = "zstd") -> None:
    """Write a table as Parquet, atomically.

    Args:
        path: of the record.
        table: its rows.
        compression: 'none' for columns of pictures, which are compressed already.

    Raises:
        UnblindError: the disk is full or the folder cannot be written.
    """
    import pyarrow.parquet as pq

    with files.atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression=compression)
