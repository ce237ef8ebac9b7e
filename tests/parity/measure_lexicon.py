#!/usr/bin/env python3
"""How often text_mask_mode syntax (core/text/lexicon.c, looked up word by word) and CLIPA's choice (nltk's tagger, which
sees the caption) agree: on the class of a word (noun, adjective, verb, other), and on which six words of a caption stay.

    measure_lexicon.py WORDS.yml CAPTIONS.txt        a caption a line; 3,000 of them, evenly spaced

nltk 3.8.1 with its averaged_perceptron_tagger.
"""
import collections
import re
import sys
import unicodedata

import nltk
from nltk.tokenize import word_tokenize

KEPT, CAPTIONS = 6, 3000


def group(tag):
    """CLIPA's order."""
    tag = tag.lower()
    return 1 if tag.startswith("nn") else 2 if tag.startswith("jj") else 3 if tag.startswith("vb") else 4


def read(path):
    own, capitals = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
    for line in open(path, encoding="utf-8"):
        found = re.match(r'(?:"(.*?)"|(.+?)): \{ (.*) \}', line)
        if found:
            word = found.group(1) or found.group(2)
            for part in found.group(3).split(", "):
                tag, count = part.split(": ")
                (own if word == word.lower() else capitals)[word.lower()][group(tag)] += int(count)
    return own, capitals


def look_up(lists, word):
    word = word.lower()
    for counts in lists:
        if word in counts:
            return min(counts[word], key=lambda c: (-counts[word][c], c))
    if word.endswith("ly") and len(word) > 2 or not any(unicodedata.category(c)[0] == "L" for c in word):
        return 4
    return 3 if re.search(".(ing|ed)$", word) else 1


def kept(classes):
    return set(sorted(range(len(classes)), key=lambda i: (classes[i], i))[:KEPT])


def main():
    lists = read(sys.argv[1])
    captions = [line.rstrip("\n") for line in open(sys.argv[2], encoding="utf-8")]
    captions = [captions[i * len(captions) // CAPTIONS] for i in range(CAPTIONS)] if len(captions) > CAPTIONS else captions
    words = same = stay = stay_same = 0
    for caption in captions:
        tokens = word_tokenize(caption, preserve_line=True)
        theirs = [group(tag) for _, tag in nltk.pos_tag(tokens)]
        ours = [look_up(lists, token) for token in tokens]
        words += len(tokens)
        same += sum(a == b for a, b in zip(theirs, ours))
        if len(tokens) > KEPT:
            stay += KEPT
            stay_same += len(kept(theirs) & kept(ours))
    print(f"{len(captions)} captions, {words} words: {100 * same / words:.1f} % of the same class; of the {KEPT} words "
          f"that stay, {100 * stay_same / stay:.1f} % are the same")


if __name__ == "__main__":
    main()
