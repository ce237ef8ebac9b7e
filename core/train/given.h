/* A run's inputs: data, vocabulary, evaluation sets, initial weights, program. Recorded with each
 * checkpoint and compared on resume: a run whose data changed half way is not valid for either
 * data. */
#ifndef FLIP_TRAIN_GIVEN_H
#define FLIP_TRAIN_GIVEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "config/settings.h"

typedef struct {
  char *name;
  char digest[HASH_SIZE];
} given_set;

typedef struct {
  int64_t data_samples;
  char data[HASH_SIZE], vocabulary[HASH_SIZE];
  char lexicon[HASH_SIZE]; /* of text_mask_lexicon; "" where no mask uses it */
  char init[HASH_SIZE];    /* of the file that init_from names; "" without, or when it is gone */
  given_set *sets;         /* evaluation sets */
  size_t set_count;
  char commit[64], dirty[HASH_SIZE]; /* of the program */
} given;

void given_free(given *g);
err given_add_set(given *g, const char *name, const char *digest) ERR_MUST_CHECK;

/* {set: digest, …} under `key`. */
void given_write_sets(json_writer *w, const char *key, const given *g);
/* As an object under `key`, and back; what is missing there stays empty. */
void given_write(json_writer *w, const char *key, const given *g);
err given_read(const json_t *object, given *g) ERR_MUST_CHECK;

/* Is this still the run of the checkpoint `path`? ERR_INPUT with what was there, what is there now
 * and the remedy when data, vocabulary, lexicon or first weights differ; a line in `remarks` for
 * what may differ: evaluation sets and the program. A digest that is not known agrees with all. */
err given_compare(const char *path, const given *before, const given *now, const settings *s,
                  strbuf *remarks) ERR_MUST_CHECK;

#endif
