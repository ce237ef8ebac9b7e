#!/usr/bin/env python3
"""Run by hand: the memory that image.recompute and text.recompute save, and their cost in time (docs/performance.md).

    tests/timing/recompute.py [--flip build/bin/flip] [--rounds 5] [--steps 6] CONFIG [OPTIONS of flip train...]

The levels alternate, each training a few steps on one thread. Printed for each: planned and peak memory; the
processor time and wall time of a step divided by those without recomputation in the same round, medians over the
rounds (the fastest step of each run, without the first two, which choose kernels and touch memory); and whether the
losses have the same bits.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile

LEVELS = ('0', 'norms', 'activations', 'blocks')
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('--flip', default='build/bin/flip')
parser.add_argument('--rounds', type=int, default=5)
parser.add_argument('--steps', type=int, default=6)
parser.add_argument('--batch', type=int, default=32)
parser.add_argument('config')
given, more = parser.parse_known_args()


def run(level, folder):
    values = {'threads': 1, 'log_every': 1, 'batch_size': given.batch, 'samples': given.batch * given.steps,
              'warmup_samples': given.batch, 'eval.sets': '[]', 'image.recompute': level, 'text.recompute': level}
    command = [given.flip, 'train', '-c', given.config, '--no-progress', '--out', folder]
    for key, value in values.items():
        command += ['-s', f'{key}={value}']
    with open(folder + '.log', 'w') as log:
        process = subprocess.Popen(command + more, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(open(folder + '.log').read())
    events = [json.loads(line) for line in open(f'{folder}/events.jsonl')]
    steps = [e for e in events if e['event'] == 'step']
    return {'cpu': min(s['cpu_seconds'] for s in steps[2:]), 'wall': min(s['seconds'] for s in steps[2:]),
            'planned': next(e for e in events if e['event'] == 'start')['planned_bytes'] / 2**20,
            'peak': usage.ru_maxrss / 2**10, 'losses': [s['loss'] for s in steps]}


with tempfile.TemporaryDirectory() as scratch:
    rounds = [{level: run(level, f'{scratch}/{level}-{i}') for level in LEVELS} for i in range(given.rounds)]
print(f'{"level":12} planned MiB  ratio  peak MiB  ratio  processor time                wall time  same losses')
for level in LEVELS:
    ratios = {key: sorted(r[level][key] / r['0'][key] for r in rounds) for key in ('planned', 'peak', 'cpu', 'wall')}
    ratio = {key: statistics.median(values) for key, values in ratios.items()}
    peak = statistics.median(r[level]['peak'] for r in rounds)
    same = all(r[level]['losses'] == r['0']['losses'] for r in rounds)
    spread = f'({ratios["cpu"][0]:.3f} to {ratios["cpu"][-1]:.3f})'
    print(f'{level:12} {rounds[0][level]["planned"]:11.0f}  {ratio["planned"]:5.2f}  {peak:8.0f}  {ratio["peak"]:5.2f}'
          f'  {ratio["cpu"]:.3f} {spread:22}  {ratio["wall"]:9.3f}  {"yes" if same else "no"}')
