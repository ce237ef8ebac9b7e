"""By hand: the record's Parquet files as pyarrow reads them, against the same tables as JSON lines.

    v/bin/python tests/parity/check_parquet_export.py build/bin/flipbench RESULTS"""
import base64
import json
import pathlib
import subprocess
import sys
import tempfile

import pyarrow.parquet as pq

flipbench, results = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for kind in ("jsonl", "parquet"):
        subprocess.run([flipbench, "db", "export", "--results", results, "-f", kind, "-o", folder / kind], check=True)
    tables = rows = values = 0
    for path in sorted((folder / "parquet").glob("*.parquet")):
        table = pq.read_table(path)
        lines = [json.loads(line) for line in (folder / "jsonl" / f"{path.stem}.jsonl").read_text().splitlines()]
        assert table.num_rows == len(lines), (path, table.num_rows, len(lines))
        for have, want in zip(table.to_pylist(), lines):
            assert list(have) == list(want), path
            for name, value in have.items():
                wanted = want[name]
                if isinstance(value, bytes):
                    value = base64.b64encode(value).decode()
                if isinstance(wanted, (dict, list)):
                    value = json.loads(value)
                elif isinstance(value, str) and not isinstance(wanted, str) and wanted is not None:
                    value = json.loads(value)
                if isinstance(value, float) and wanted is not None:
                    wanted = float(wanted)  # JSON has Infinity as a text
                assert value == wanted, (path.name, name, value, wanted)
                values += 1
        tables += 1
        rows += table.num_rows
    print(f"{tables} tables, {rows} rows, {values} values: equal")
