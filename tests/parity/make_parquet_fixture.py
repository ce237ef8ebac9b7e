"""Parquet files as pyarrow writes them, and what is in them: tests/parity/fixtures/parquet.

    python -m venv v && v/bin/pip install pyarrow==26.0.1 && v/bin/python tests/parity/make_parquet_fixture.py

Rows are repeatable. expected.json holds, for each file, its columns (name, kind, values; null for
null; bytes in hexadecimal, floats by repr); `refused` names files and what must be said of them."""
import json
import pathlib
import random

import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent / "fixtures" / "parquet"
here.mkdir(exist_ok=True)
rng = random.Random(7)
WORDS = "a dog café 漢字 🐕 red,blue \"quoted\" line\nbreak tab\there".split(" ")


def text(most):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, most)))


def some(make, nulls):
    return None if rng.random() < nulls else make()


def kinds(rows, nulls):
    return pa.table({
        "text": pa.array([some(lambda: text(6), nulls) for _ in range(rows)]),
        "few": pa.array([some(lambda: rng.choice(["x", "", "longer than that"]), nulls) for _ in range(rows)]),
        "flag": pa.array([some(lambda: rng.random() < 0.3, nulls) for _ in range(rows)]),
        "small": pa.array([some(lambda: rng.randint(-2**31, 2**31 - 1), nulls) for _ in range(rows)], pa.int32()),
        "byte": pa.array([some(lambda: rng.randint(-128, 127), nulls) for _ in range(rows)], pa.int8()),
        "unsigned": pa.array([some(lambda: rng.randint(0, 2**32 - 1), nulls) for _ in range(rows)], pa.uint32()),
        "large": pa.array([some(lambda: rng.randint(-2**63, 2**63 - 1), nulls) for _ in range(rows)], pa.int64()),
        "single": pa.array([some(lambda: rng.uniform(-1, 1), nulls) for _ in range(rows)], pa.float32()),
        "double": pa.array([some(lambda: rng.choice([rng.uniform(-1e300, 1e300), float("inf"), -0.0]), nulls)
                            for _ in range(rows)], pa.float64()),
        "blob": pa.array([some(lambda: rng.randbytes(rng.randint(0, 9)), nulls) for _ in range(rows)], pa.binary()),
        "nothing": pa.array([None] * rows, pa.null()),
    })


def laion(rows):
    return pa.table({
        "SAMPLE_ID": pa.array([float(rng.randint(0, 2**40)) for _ in range(rows)]),
        "URL": pa.array([f"https://example.org/{i}/{rng.randint(0, 9**9)}.jpg" for i in range(rows)]),
        "TEXT": pa.array([some(lambda: text(9), 0.05) for _ in range(rows)]),
        "HEIGHT": pa.array([some(lambda: rng.randint(60, 4000), 0.02) for _ in range(rows)], pa.int32()),
        "WIDTH": pa.array([some(lambda: rng.randint(60, 4000), 0.02) for _ in range(rows)], pa.int32()),
        "LICENSE": pa.array([some(lambda: rng.choice(["?", "cc-by-nc-nd"]), 0.5) for _ in range(rows)]),
        "NSFW": pa.array([rng.choice(["UNLIKELY", "NSFW", "UNSURE"]) for _ in range(rows)]),
        "similarity": pa.array([rng.uniform(0.28, 0.5) for _ in range(rows)]),
    })


def img2dataset(rows):
    status = ["success"] * (rows - 3) + ["failed_to_download", "failed_to_resize", "failed_to_download"]
    fine = [s == "success" for s in status]
    size = lambda: pa.array([rng.randint(64, 900) if f else None for f in fine], pa.int32())
    return pa.table({
        "url": [f"https://example.org/{i}.jpg" for i in range(rows)],
        "caption": [f"a picture of {rng.choice(WORDS)} {i}" for i in range(rows)],
        "key": [f"{i:09d}" for i in range(rows)],
        "status": status,
        "error_message": [None if f else "HTTP Error 404: Not Found" for f in fine],
        "width": size(), "height": size(), "original_width": size(), "original_height": size(),
        "exif": [json.dumps({}) if f else None for f in fine],
        "sha256": [f"{rng.getrandbits(256):064x}" if f else None for f in fine],
    })


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    return repr(value) if isinstance(value, float) else value


expected = {}


def write(name, table, **options):
    path = here / f"{name}.parquet"
    pq.write_table(table, path, **options)
    expected[path.name] = {"rows": table.num_rows, "row_groups": pq.ParquetFile(path).num_row_groups,
                           "columns": {c: [plain(v) for v in table.column(c).to_pylist()] for c in table.column_names}}


for codec in ("none", "snappy", "gzip", "zstd"):
    for version in ("1.0", "2.0"):
        for dictionary in (False, True):
            write(f"{codec}-v{version[0]}-{'dictionary' if dictionary else 'plain'}", kinds(40, 0.2), compression=codec,
                  data_page_version=version, use_dictionary=dictionary, row_group_size=17,
                  write_page_checksum=version == "2.0")
write("many-pages", kinds(900, 0.1).select(["text", "few", "flag", "small", "double"]), compression="snappy", data_page_size=256,
      dictionary_pagesize_limit=512, write_batch_size=16, row_group_size=400)
required = pa.table(kinds(30, 0).drop_columns(["nothing"]).columns,
                    schema=pa.schema([f.with_nullable(False) for f in kinds(1, 0).drop_columns(["nothing"]).schema]))
write("required", required, compression="zstd")
write("large-strings", pa.table({"text": ["x" * 20000, "é" * 3000, "", None, "end"]}), compression="zstd",
      data_page_size=1024)
write("no-rows", kinds(0, 0), compression="snappy")
write("laion", laion(60), compression="snappy", row_group_size=25)
write("img2dataset", img2dataset(8), compression="snappy")
# the list of tests/read/a_parquet_list_trains_as_the_same_list_in_text.sh
colours = ["red", "green", "blue"]
write("list", pa.table({
    "path": [f"{i:08d}.png" for i in range(80)],
    "similarity": [0.3 + i / 1000 for i in range(80)],
    "caption": [None if i == 70 else f"a {colours[i % 3]} thing, number {i}" for i in range(80)],
    "height": pa.array([24] * 80, pa.int32()),
}), compression="zstd", row_group_size=50)
# as pandas writes img2dataset's metadata again when no download failed
whole = img2dataset(8).slice(0, 5)
write("no-failures", whole.set_column(4, "error_message", pa.nulls(5)), compression="snappy")
nested = pa.table({"path": ["a.png", "b.png"], "meta": [{"a": 1, "b": "x"}, None], "tags": [["x"], []], "caption": ["one", "two"]})
pq.write_table(nested, here / "nested.parquet", compression="snappy")
expected["nested.parquet"] = {"rows": 2, "row_groups": 1, "columns": {"path": ["a.png", "b.png"], "caption": ["one", "two"]}}

refused = {"nested.parquet": {"meta": "is a nested column", "tags": "is a nested column"}}
strings = pa.table({"text": ["a", "b", "a"]})
for name, said, options in (
        ("brotli", "is compressed with Brotli", {"compression": "brotli"}),
        ("lz4", "is compressed with LZ4_RAW", {"compression": "lz4"}),
        ("delta", "is encoded as DELTA_BYTE_ARRAY",
         {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}})):
    pq.write_table(strings, here / f"{name}.parquet", **options)
    refused[f"{name}.parquet"] = {"text": said}
times = pa.table({"when": pa.array([1, 2], pa.timestamp("us")), "day": pa.array([1, 2], pa.date32()),
                  "price": pa.array([1, 2], pa.decimal128(5, 2))})
pq.write_table(times, here / "times.parquet")
refused["times.parquet"] = {"when": "is of type TIMESTAMP", "day": "is of type DATE", "price": "is of type DECIMAL"}
(here / "expected.json").write_text(json.dumps({"files": expected, "refused": refused}, ensure_ascii=True, indent=0) + "\n")
