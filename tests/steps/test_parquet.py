"""Records are written whole, or not at all."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unblind.steps import parquet


@pytest.mark.parametrize(("compression", "stored"), [("zstd", "ZSTD"), ("none", "UNCOMPRESSED")])
def test_a_record_is_compressed_unless_its_pictures_are(tmp_path, compression, stored):
    path = tmp_path / "new" / "record.parquet"
    parquet.write(path, pa.table({"n": [1, 2, 3]}), compression)
    assert pq.read_table(path)["n"].to_pylist() == [1, 2, 3]
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == stored
    assert [file.name for file in path.parent.iterdir()] == [path.name]
