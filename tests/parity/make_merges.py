#!/usr/bin/env python3
"""A byte-pair vocabulary in the layout of CLIP's bpe_simple_vocab_16e6.txt.gz, trained on the captions of shards:

    make_merges.py data/openclipart/train-*.tar      writes fixtures/merges.txt.gz

Trained by Hugging Face's tokenizers; nothing of CLIP's own vocabulary is in it.
"""
import gzip
import json
import pathlib
import sys
import tarfile

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

captions = []
for path in sys.argv[1:]:
    with tarfile.open(path) as shard:
        captions += [shard.extractfile(m).read().decode() for m in shard if m.name.endswith(".txt")]
captions += ["dog's don't we've they're I'm he'd you'll café naïve über straße"] * 20
tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
tokenizer.normalizer = normalizers.Lowercase()
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
    pre_tokenizers.ByteLevel(add_prefix_space=False)])
trainer = trainers.BpeTrainer(vocab_size=3500, end_of_word_suffix="</w>", show_progress=False,
                              initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
tokenizer.train_from_iterator(captions, trainer)
merges = [" ".join(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]]
path = pathlib.Path(__file__).parent / "fixtures" / "merges.txt.gz"
# no line break at the end: open_clip would take what follows it for one more merge
path.write_bytes(gzip.compress(("#version: 0.2\n" + "\n".join(merges)).encode(), 9, mtime=0))
print(path, len(merges), "merges from", len(captions), "captions")
