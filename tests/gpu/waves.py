#!/usr/bin/env python3
"""Run by hand, without a GPU: how evenly the matrix products of a training step fill a GPU (docs/performance.md).

    tests/gpu/waves.py [--model vit_l16] [--batch 256] [--mask 75] [--all] [--multiprocessors 132]

A product's result is computed in tiles, one per multiprocessor at a time: the last wave leaves multiprocessors idle.
For each product of a block: the tile with the least estimated time (of core/cuda/gemm_tiles.h; the estimate is that of
core/cuda/gemm_variants.c), its tiles, waves, the share of multiprocessor time that is used, the estimate, and the time
at 804 TFLOP/s, the rate of large products on an H100. Then the effect of padding the rows to a multiple of 128, and
of computing the weight gradients of a block in one launch. All times are estimates; --check compares them with an H100.
"""
import argparse, math, os, re

RATE, BYTES_PER_SECOND, KERNEL_SECONDS = 804e12, 3e12, 3e-6
# layers, width, hidden layer, of the image and the text tower; patches of the image; words of the text
MODELS = {
    'vit_b16': ((12, 768, 3072), (12, 512, 2048), 196, 32),
    'vit_l16': ((24, 1024, 4096), (12, 768, 3072), 196, 32),
    'vit_h14': ((32, 1280, 5120), (24, 1024, 4096), 256, 32),
}
# Of the step in results/gpu/2026-11-26-h100-8b0c569/kernels/vit_l16_m75.txt whose kernels have one shape only.
MEASURED = (('fc1 weight gradient', 4096, 1024, 12800, 142.6), ('fc2 weight gradient', 1024, 4096, 12800, 138.7),
            ('qkv weight gradient', 3072, 1024, 12800, 109.0), ('out weight gradient', 1024, 1024, 12800, 40.1),
            ('out forward', 12800, 1024, 1024, 41.0), ('text fc1 weight gradient', 3072, 768, 8192, 60.4),
            ('text fc2 weight gradient', 768, 3072, 8192, 59.3), ('text qkv weight gradient', 2304, 768, 8192, 48.2),
            ('text out weight gradient', 768, 768, 8192, 23.2))

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('--model', choices=MODELS, default='vit_l16')
parser.add_argument('--batch', type=int, default=256)
parser.add_argument('--mask', type=int, choices=(0, 50, 75), default=75, help='percent of the patches')
parser.add_argument('--all', action='store_true', help='sums for every model and mask')
parser.add_argument('--check', action='store_true', help='estimates next to the times of an H100')
parser.add_argument('--multiprocessors', type=int, default=132)
given = parser.parse_args()
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, '../../core/cuda/gemm_tiles.h')) as f:
    TILES = [(int(a), int(b)) for a, b in re.findall(r'TILE\((\d+), (\d+)\)', f.read())]


def estimate(m, n, k, tile, parts=1):
    """Seconds; the tile's rows are along n, since the library's result is our result transposed."""
    tiles = math.ceil(n / tile[0]) * math.ceil(m / tile[1]) * parts
    waves = math.ceil(tiles / given.multiprocessors)
    work = 2 * tile[0] * tile[1] * k / parts / (RATE / 132) * (0.92 + 9 * (1 / tile[0] + 1 / tile[1]))
    sums = 8 * parts * m * n / BYTES_PER_SECOND + KERNEL_SECONDS if parts > 1 else 0
    return waves * work + sums + KERNEL_SECONDS


def best(m, n, k):
    return min((estimate(m, n, k, tile, parts), tile, parts) for tile in TILES for parts in range(1, 9))


def tile_count(m, n, tile):
    return math.ceil(n / tile[0]) * math.ceil(m / tile[1])


def products(tower, rows):
    """(name, m, n, k) of one block."""
    _, width, hidden = tower
    dense = (('qkv', width, 3 * width), ('out', width, width), ('fc1', width, hidden), ('fc2', hidden, width))
    for name, inputs, outputs in dense:
        yield name + ' forward', rows, outputs, inputs
        yield name + ' input gradient', rows, inputs, outputs
        yield name + ' weight gradient', outputs, inputs, rows


def rows_of(model, mask):
    _, _, patches, words = MODELS[model]
    return given.batch * (1 + patches - patches * mask // 100), given.batch * words


def print_tower(name, tower, rows):
    print(f'\n{name}: {tower[0]} blocks of {tower[1]}, {rows} rows\n')
    print('| product | m | n | k | tile | parts of k | tiles | waves | used | estimate, us | at 804 TFLOP/s, us |')
    print('|---|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|')
    total = bound = 0
    for label, m, n, k in products(tower, rows):
        seconds, tile, parts = best(m, n, k)
        tiles = tile_count(m, n, tile) * parts
        waves = tiles / given.multiprocessors
        used = m * n * parts / (math.ceil(waves) * given.multiprocessors * tile[0] * tile[1])
        ideal = 2 * m * n * k / RATE
        print(f'| {label} | {m} | {n} | {k} | {tile[0]}x{tile[1]} | {parts} | {tiles} | {waves:.2f} | {100 * used:.0f} % '
              f'| {1e6 * seconds:.1f} | {1e6 * ideal:.1f} |')
        total, bound = total + seconds, bound + ideal
    print(f'\nall blocks: {1e3 * tower[0] * total:.2f} ms estimated, {1e3 * tower[0] * bound:.2f} at 804 TFLOP/s')


def print_padding(tower):
    """Rows that are no multiple of a tile, and the same padded with zeros."""
    print('\nRows padded to a multiple of 128 (forward and input gradients of a block; weight gradients grow with k)\n')
    print('| batch x tokens | rows | padded | estimate, us | padded, us |\n|---|---:|---:|---:|---:|')
    for batch, tokens in ((256, 50), (256, 49), (250, 50), (255, 49), (100, 50), (37, 50), (256, 99), (256, 197), (256, 32)):
        rows = batch * tokens
        padded = math.ceil(rows / 128) * 128
        times = [sum(best(m, n, k)[0] for _, m, n, k in products(tower, r)) for r in (rows, padded)]
        print(f'| {batch} x {tokens} | {rows} | {padded} | {1e6 * times[0]:.0f} | {1e6 * times[1]:.0f} |')


def print_groups(name, tower, rows):
    """A block's four weight gradients: one launch each, or all in one launch with one tile for all."""
    gradients = [p[1:] for p in products(tower, rows) if p[0].endswith('weight gradient')]
    apart = sum(best(*p)[0] for p in gradients)

    def together(tile):
        tiles = sum(tile_count(m, n, tile) for m, n, _ in gradients)
        work = 2 * tile[0] * tile[1] * rows / (RATE / 132) * (0.92 + 9 * (1 / tile[0] + 1 / tile[1]))
        return math.ceil(tiles / given.multiprocessors) * work + KERNEL_SECONDS

    tile = min(TILES, key=together)
    print(f'| {name} | {rows} | {1e6 * apart:.1f} | {1e6 * together(tile):.1f} | {tile[0]}x{tile[1]} '
          f'| {1e6 * sum(2 * m * n * k for m, n, k in gradients) / RATE:.1f} | {1e3 * tower[0] * (apart - together(tile)):.2f} |')


def print_all():
    print('| model | mask | image tower, ms | at 804 | text tower, ms | at 804 | rate of both, TFLOP/s |\n|---|---:|---:|---:|---:|---:|---:|')
    for model, (image, text, _, _) in MODELS.items():
        for mask in (0, 50, 75):
            numbers = []
            for tower, rows in zip((image, text), rows_of(model, mask)):
                work = list(products(tower, rows))
                numbers += [1e3 * tower[0] * sum(best(*p[1:])[0] for p in work),
                            1e3 * tower[0] * sum(2 * m * n * k for _, m, n, k in work) / RATE]
            rate = 804 * (numbers[1] + numbers[3]) / (numbers[0] + numbers[2])
            print(f'| {model} | {mask} % | {numbers[0]:.2f} | {numbers[1]:.2f} | {numbers[2]:.2f} | {numbers[3]:.2f} | {rate:.0f} |')


def main():
    if given.all:
        return print_all()
    if given.check:
        print('| product | m | n | k | measured, us | best estimate, us | tile, parts |\n|---|---:|---:|---:|---:|---:|---|')
        for label, m, n, k, us in MEASURED:
            seconds, tile, parts = best(m, n, k)
            print(f'| {label} | {m} | {n} | {k} | {us} | {1e6 * seconds:.1f} | {tile[0]}x{tile[1]}, {parts} |')
        return None
    image, text, _, _ = MODELS[given.model]
    rows, words = rows_of(given.model, given.mask)
    print_tower('image tower', image, rows)
    print_tower('text tower', text, words)
    print_padding(image)
    print('\nThe four weight gradients of a block in one launch\n')
    print('| tower | rows | one launch each, us | one launch, us | tile | at 804 TFLOP/s, us | saved, ms a step |\n|---|---:|---:|---:|---|---:|---:|')
    print_groups('image', image, rows)
    print_groups('text', text, words)
    return None


main()
