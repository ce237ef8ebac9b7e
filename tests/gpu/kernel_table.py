#!/usr/bin/env python3
"""The kernels of a replayed training step, from the file that trace_kernels.c writes:

    tests/gpu/kernel_table.py TRACE [STEPS]

Means over the last STEPS (5) whole steps that were replayed as a CUDA graph; a step ends with the optimizer's kernel.
"""
import collections, re, statistics, sys

records = []
with open(sys.argv[1], errors='replace') as trace:
    for line in trace:
        field = line.rstrip('\n').split(' ', 4)
        if len(field) == 5 and all(f.isdigit() for f in field[:4]):
            start, duration, stream, graph = map(int, field[:4])
            records.append((start, start + duration, stream, graph, field[4]))
records.sort()
replayed = [r for r in records if r[3]]
# Of the model that was replayed last, without the steps that are timed in parts. Its two sets of inputs take turns, and
# each has a graph of its own, which is the whole step (core/train/step.c).
last = list(dict.fromkeys(r[3] for r in reversed(replayed)))[:2]
replayed = [r for r in replayed if r[3] in last]
updates = [i for i, r in enumerate(replayed) if re.search(r'(^|_Z\d+|\b)update(_narrow)?(\b|P|\d|\()', r[4])]
ends = [i + 1 for n, i in enumerate(updates) if n + 1 == len(updates) or updates[n + 1] - i > 20]
steps = list(zip(ends, ends[1:]))[-int(sys.argv[2] if len(sys.argv) > 2 else 5):]
if not steps:
    sys.exit(f'{len(records)} records, but no two steps that were replayed as a graph and end with the optimizer')

whole, busy, sums, kinds = [], [], [], collections.defaultdict(lambda: [0, 0])
for first, end in steps:
    step = replayed[first:end]
    reached = begun = replayed[first - 1][1]  # from the end of the step before
    covered = 0
    for start, stop, _, _, name in step:
        covered += max(0, stop - max(start, reached))
        reached = max(reached, stop)
        kinds[re.sub(r'\(.*', '', re.sub(r'^void ', '', name))[:100]][0] += stop - start
        kinds[re.sub(r'\(.*', '', re.sub(r'^void ', '', name))[:100]][1] += 1
    whole.append((reached - begun) / 1e6)
    busy.append(covered / 1e6)
    sums.append(sum(stop - start for start, stop, *_ in step) / 1e6)
count = len(steps)
median = statistics.median
print(f'{count} steps of {median(whole):.2f} ms with {sum(b - a for a, b in steps) / count:.0f} kernels and copies: '
      f'the GPU busy for {median(busy):.2f} ms, idle between kernels for {median(whole) - median(busy):.2f} ms; '
      f'kernels at the same time as others for {median(sums) - median(busy):.2f} ms\n')
for name, (ns, times) in sorted(kinds.items(), key=lambda kind: -kind[1][0])[:60]:
    print(f'{ns / count / 1e6:8.3f} ms  {ns / 1e4 / sum(sums):5.1f} %  x{times / count:6.1f}  {ns / times / 1e3:8.1f} us  {name}')
