#!/usr/bin/env python3
"""settings_drawn_at_random.py FLIP FIRST LAST [--gpu FOLDER]

Trains tiny models with settings drawn from the seeds FIRST to LAST - 1, each in several ways that must not matter, and
prints the settings of those that do: other numbers of loader threads, a stop and a continuation give the same bits;
micro-batches, recomputation, other kernels, one thread, several ranks the same numbers within rounding. With the folder
of the imitated GPU's plugins also: the CPU's numbers, and the same bits in any order of the streams. Works in the current
folder. Exit status 1 if any differ.
"""
import argparse
import glob
import json
import math
import os
import random
import shutil
import subprocess
import sys

SHARDS = 'data/train-*.tar'
# Relative differences allowed in loss, gradient norm, logit scale and reconstruction loss: rounding of fp32, and of 8 bits
# of mantissa, with what a few steps of Adam make of it.
FP32 = (5e-4, 1e-2, 2e-4, 1e-3)
BF16 = (0.05, 0.5, 0.01, 0.06)
SAME = (0, 0, 0, 0)
STEPS = 5


def draw(r):
    """Settings that agree with each other; what is drawn for one kind of text or mask alone is left out elsewhere."""
    yes, pick = lambda p: r.random() < p, r.choice
    side, batch = pick([2, 4, 6]), pick([8, 12])
    c = {'image.patch': 8, 'image.size': 8 * side, 'image.width': pick([32, 48]), 'image.layers': pick([1, 2]),
         'image.heads': pick([1, 2]), 'text.width': pick([32, 64]), 'text.layers': pick([1, 2]), 'text.heads': pick([1, 2]),
         'embed_dim': pick([16, 24]), 'image.position': pick(['sincos', 'learned']), 'image.pre_norm': yes(.5),
         'image.patch_bias': yes(.5), 'image.activation': pick(['gelu_tanh', 'gelu_erf', 'quick_gelu']),
         'image.normalization': pick(['clip', 'imagenet', 'none']), 'text.length': pick([8, 16, 32]),
         'text.special_tokens': pick(['none', 'both']), 'text.causal': yes(.5), 'text.post_norm': yes(.5),
         'text.padding_mask': yes(.5), 'loss_direction': pick(['both', 'both', 'image_to_text']), 'normalize': yes(.8),
         'image.class_token': yes(.5), 'batch_size': batch, 'samples': STEPS * batch, 'warmup_samples': batch,
         'learning_rate': pick([1e-3, 3e-4]), 'clip_norm': pick([0, 0, 1]), 'optimizer.moments': pick(['fp32', 'fp32', 'bf16']),
         'weight_decay': pick([0, 0.2]), 'data.flip': yes(.5), 'seed': r.randrange(1000), 'eval.points': pick([1, 2]),
         'precision': pick(['fp32', 'fp32', 'bf16', 'fp8'])}
    pools = ['mean'] + ['eot'] * (c['text.special_tokens'] == 'both') + ['first'] * (not c['text.causal'])
    c['text.pool'] = pick(pools)
    c['temperature_learned'] = c['normalize'] and yes(.7)
    if c['image.class_token']:
        c['image.pool'] = pick(['mean', 'class'])
    for tower in 'image', 'text':
        if yes(.3):
            c[tower + '.dropout'] = 0.1
        if yes(.3):
            c[tower + '.recompute'] = pick(['activations', 'blocks', 1])
    mask = pick(['', 'random', 'grid', 'block', 'gaussian', 'zero', 'gaussian_density', 'block_kept', 'attentive'])
    if mask:
        c.update({'mask_mode': mask, 'mask_ratio': pick([0.25, 0.5, 0.75])})
        if mask == 'attentive' and side > 2 and yes(.5):
            c['attentive.cell'] = 2
        if mask != 'zero' and yes(.3):
            c.update({'reconstruction.weight': pick([0.1, 1]), 'reconstruction.width': 32, 'reconstruction.heads': 2,
                      'reconstruction.layers': 1})
    if yes(.5):
        c['data.order'] = 'stream'
        if yes(.5):
            c['data.buffer'] = pick([16, 1000])
    else:
        c['data.resample'] = yes(.3)
    words = pick(['', '', 'truncate', 'random', 'block', 'prioritized', 'frequency'])
    if words and not (words == 'frequency' and 'data.order' in c):
        c.update({'text_mask_mode': words, 'text_mask_ratio': pick([0.25, 0.5]),
                  'text_mask_positions': pick(['packed', 'original'])})
    if c['precision'] == 'fp8':
        c['fp8_scaling'] = pick(['current', 'delayed'])
    if yes(.4):
        c['micro_batch_size'] = pick([2, 4])
    return c


class Trainer:
    def __init__(self, program, gpu):
        self.program, self.gpu, self.port = program, gpu, 20000 + os.getpid() % 12000 # below the ports that the kernel gives out

    def start(self, settings, folder, resume, environment):
        words = [self.program, 'train', '--config', 'run.yaml', '--no-progress', '--out', folder]
        for key, value in settings.items():
            words += ['--set', f'{key}={str(value).lower() if isinstance(value, bool) else value}']
        return subprocess.Popen(words + ['--resume'] * resume, env={**os.environ, **environment}, text=True,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def train(self, settings, folder, ranks=0, resume=False, **environment):
        """The run's numbers; an error is an exception."""
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        if settings.get('device') == 'cuda':
            environment.update(FLIP_PLUGINS=self.gpu, LD_LIBRARY_PATH=self.gpu, XDG_CACHE_HOME=os.getcwd() + '/cache',
                               FLIP_IMITATION_DEVICES='4')
        self.port += 1
        started = []
        for rank in range(max(ranks, 1)):
            place = dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_ADDR='127.0.0.1',
                         MASTER_PORT=str(self.port)) if ranks else {}
            started.append(self.start(settings, folder, resume, {**environment, **place}))
        said = [one.communicate(timeout=300)[1] for one in started]
        if any(one.returncode for one in started) or 'imitation:' in ''.join(said):
            raise RuntimeError(' '.join(said).strip()[:500])
        return Numbers(folder)


class Numbers:
    def __init__(self, folder):
        self.steps, self.evaluations, self.folder = {}, {}, folder
        with open(folder + '/events.jsonl') as events:
            for event in map(json.loads, events):
                if event['event'] == 'step':
                    self.steps[event['step']] = [event.get(key) for key in
                                                 ('loss', 'grad_norm', 'logit_scale', 'reconstruction_loss')]
                elif event['event'] == 'eval':
                    self.evaluations[event['step'], event['set'], event['task']] = event['metrics']
        with open(self.checkpoints()[-1], 'rb') as newest:
            head = int.from_bytes(newest.read(8), 'little')
            newest.seek(8 + head)  # the header names settings and times
            self.weights = newest.read()

    def checkpoints(self):
        return sorted(glob.glob(self.folder + '/checkpoints/step-*.safetensors'))

    def same(self, other, how):
        if self.steps != other.steps:
            yield from self.near(other, how, SAME)
        if self.weights != other.weights:
            yield f'{how}: other weights'
        if self.evaluations != other.evaluations:
            yield f'{how}: other evaluations'

    def near(self, other, how, allowed):
        if list(self.steps) != list(other.steps) or len(self.steps) != STEPS:
            yield f'{how}: steps {list(other.steps)}'
            return
        steps = list(self.steps)[:2 if allowed is BF16 else None]  # later ones differ by more than rounding
        for step in steps:
            for at, most in enumerate(allowed):
                a, b = self.steps[step][at], other.steps[step][at]
                if a == b:
                    continue
                if a is None or b is None or not abs(a - b) <= most * max(abs(a), 1e-3):
                    yield f'{how}: step {step}, number {at}: {a} and {b}'
        if not all(math.isfinite(values[0]) for values in other.steps.values()):
            yield f'{how}: a loss is not finite'


def ways(trainer, r, c):
    """Yields what differs. c: the settings, with their device."""
    allowed = FP32 if c['precision'] == 'fp32' and c['optimizer.moments'] == 'fp32' else BF16
    rounds_alike = c['precision'] != 'fp8'  # in 8 bits every micro-batch has factors of its own
    whole = trainer.train(c, 'whole')
    yield from whole.same(trainer.train({**c, 'data.workers': 3, 'data.prefetch': r.choice([1, 7]), 'data.cache_mib': 0},
                                        'loaded'), 'three loader threads')
    often = {**c, 'checkpoint.every_samples': c['batch_size'], 'checkpoint.keep': STEPS}
    stopped = trainer.train(often, 'stopped')
    cut = r.randrange(1, STEPS)
    for path in stopped.checkpoints()[cut:]:
        os.remove(path)
    yield from whole.same(trainer.train(often, 'stopped', resume=True), f'continued from step {cut}')
    if c.get('device') == 'cuda':
        for order in 'eager', 'turns':
            yield from whole.same(trainer.train(c, order, FLIP_IMITATION_ORDER=order), f'streams in order {order}')
        if rounds_alike:
            yield from trainer.train({**c, 'device': 'cpu'}, 'cpu').near(whole, 'CPU and GPU', allowed)
    else:
        yield from whole.near(trainer.train({**c, 'threads': 1}, 'one'), 'one thread', allowed)
        yield from whole.near(trainer.train(c, 'old', FLIP_CPU_KERNELS='x86-64-v2'), 'kernels of x86-64-v2', allowed)
    if not rounds_alike:
        return
    parts = r.choice([m for m in (0, 2, 4) if m != c.get('micro_batch_size', 0)])
    yield from whole.near(trainer.train({**c, 'micro_batch_size': parts}, 'parts'), f'micro_batch_size {parts}', allowed)
    level = r.choice(['norms', 'activations', 'blocks'])
    yield from whole.near(trainer.train({**c, 'image.recompute': level, 'text.recompute': level}, 'again'),
                          f'recompute {level}', allowed)
    ranks = r.choice([2, 4])
    if c['batch_size'] // ranks % c.get('micro_batch_size', 1):
        return
    one_each = {**c, 'threads': 1, 'comm.bucket_bytes': r.choice([4096, 1 << 20])}
    shared = trainer.train(one_each, 'ranks', ranks=ranks)
    yield from whole.near(shared, f'{ranks} ranks', allowed)
    yield from shared.same(trainer.train({**one_each, 'optimizer.shard': True}, 'shard', ranks=ranks), 'optimizer.shard')


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('flip')
    parser.add_argument('first', type=int)
    parser.add_argument('last', type=int)
    parser.add_argument('--gpu', metavar='FOLDER')
    given = parser.parse_args()
    trainer, different = Trainer(given.flip, given.gpu), 0
    for seed in range(given.first, given.last):
        r = random.Random(seed)
        c = {**draw(r), 'device': 'cuda' if given.gpu else 'cpu'}
        try:
            found = list(ways(trainer, r, c))
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            found = [str(error)]
        if found:
            different += 1
            print(f'seed {seed}:', ' '.join(f'{key}={value}' for key, value in c.items()), *found[:8], sep='\n  ', flush=True)
    print(f'{given.last - given.first} drawn, {different} differ')
    sys.exit(different > 0)


if __name__ == '__main__':
    main()
