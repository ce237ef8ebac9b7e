/* A part-of-speech lexicon: the most frequent class of each word. Read from the word list of
 * Lingua::EN::Tagger (Debian: liblingua-en-tagger-perl), one word per line with its count for each
 * tag of the Penn Treebank: "red: { jj: 50, nn: 13 }". */
#ifndef FLIP_TEXT_LEXICON_H
#define FLIP_TEXT_LEXICON_H

#include "base/err.h"
#include "base/hash.h"

/* In the order in which CLIPA keeps words. */
typedef enum { SPEECH_NOUN = 1, SPEECH_ADJECTIVE, SPEECH_VERB, SPEECH_OTHER } part_of_speech;

typedef struct lexicon lexicon;

/* ERR_IO that names the package when the file is missing, ERR_INPUT with the line for a malformed
 * list. */
err lexicon_open(const char *path, lexicon **out) ERR_MUST_CHECK;
/* Digest of the file, recorded with a run's inputs. Fails like lexicon_open when it is missing. */
err lexicon_fingerprint(const char *path, char digest[HASH_SIZE]) ERR_MUST_CHECK;
void lexicon_close(lexicon *l);

/* The class of most occurrences of `word` (ties: noun before adjective before verb). Words are in
 * lower case; lower-case entries are preferred to capitalised ones. A word that is not listed:
 * other if it has no letter or ends in -ly, verb if in -ing or -ed, else noun. */
part_of_speech lexicon_part(const lexicon *l, const char *word);

#endif
