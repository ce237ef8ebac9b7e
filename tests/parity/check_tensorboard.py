#!/usr/bin/env python3
"""What 'flipbench export' writes, read by TensorBoard's own reader: every tag, step and number of the
database. Usage: check_tensorboard.py path/to/flipbench RESULTS EXPERIMENT

  check_tensorboard.py --fixture fixtures/tensorboard.events

writes the bytes that TensorBoard's own writer makes of the numbers in test_tensorboard.c. Not part of
the test suite: it needs tensorboard (requirements.txt).
"""
import csv
import math
import pathlib
import sqlite3
import struct
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def write_fixture(path):
    numbers = [("train/loss", 0, 1764190406.25, 3.4621), ("train/loss", 1, 1764190406.5, math.nan),
               ("train/learning_rate", 300, 1764190407.0, 1e-3), ("eval/Grüße/zeroshot_top1", 2**40, 0.0, -0.5)]
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1764190406.0, file_version="brain.Event:2").SerializeToString())
        for tag, step, wall, value in numbers:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.write(Event(wall_time=wall, step=step, summary=summary).SerializeToString())


def same(a, b):
    return (a is None or math.isnan(a)) and math.isnan(b) or a is not None and struct.pack("f", a) == struct.pack("f", b)


def check(flipbench, results, name):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flip-tensorboard-"))
    for form in ("tensorboard", "csv"):
        subprocess.run([flipbench, "export", name, "--results", results, "--format", form, "--out", folder / form],
                       check=True)
    base = sqlite3.connect(f"file:{results}/flipbench.db?mode=ro", uri=True)
    runs = base.execute("SELECT run_id, directory FROM v_cell_latest WHERE experiment = ? AND run_id", (name,)).fetchall()
    written = {}
    with open(folder / "csv" / "metrics.csv", newline="") as file:
        for row in csv.DictReader(file):
            written[row["run"], row["metric"], int(row["step"])] = float(row["value"] or "nan")
    checked = 0
    for run, directory in runs:
        run_name = pathlib.Path(directory).name
        reader = EventAccumulator(str(folder / "tensorboard" / run_name), size_guidance={"scalars": 0})
        reader.Reload()
        got = {(tag, e.step): e.value for tag in reader.Tags()["scalars"] for e in reader.Scalars(tag)}
        wanted = {}
        for step, loss, rate in base.execute("SELECT step, loss, learning_rate FROM step WHERE run_id = ?", (run,)):
            wanted["train/loss", step] = loss
            wanted["train/learning_rate", step] = rate
        for step, data, task, metric, value in base.execute(
                "SELECT step, set_name, task, metric, value FROM evaluation WHERE run_id = ?", (run,)):
            wanted[f"eval/{data}/{task}_{metric}", step] = value
        for key, value in wanted.items():
            assert key in got, f"{run_name}: no {key}"
            assert same(value, got[key]), f"{run_name}: {key}: {value} became {got[key]}"
            assert same(value, written[run_name, *key]), f"{run_name}: {key} in metrics.csv"
        checked += len(got)
    print(f"{len(runs)} runs, {checked} numbers read by TensorBoard as they are in the database")


if sys.argv[1] == "--fixture":
    write_fixture(sys.argv[2])
else:
    check(*sys.argv[1:4])
