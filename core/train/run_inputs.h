/* The inputs of a run: data, vocabulary, evaluation sets, initial weights, program. Recorded with
 * each checkpoint and compared on resume: a run whose data changed midway is valid for neither
 * version of the data. */
#ifndef FLIP_TRAIN_RUN_INPUTS_H
#define FLIP_TRAIN_RUN_INPUTS_H

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
} run_inputs_set;

typedef struct {
  int64_t data_samples;
  char data[HASH_SIZE], vocabulary[HASH_SIZE];
  char lexicon[HASH_SIZE]; /* of text_mask_lexicon; "" if no mask uses it */
  char init[HASH_SIZE];    /* of the file in init_from; "" without it, or when it is gone */
  run_inputs_set *sets;    /* evaluation sets */
  size_t set_count;
  char commit[64], dirty[HASH_SIZE]; /* of the program */
} run_inputs;

void run_inputs_free(run_inputs *g);
err run_inputs_add_set(run_inputs *g, const char *name, const char *digest) ERR_MUST_CHECK;

/* {set: digest, …} under `key`. */
void run_inputs_write_sets(json_writer *w, const char *key, const run_inputs *g);
/* As an object under `key`, and back; missing values stay empty. */
void run_inputs_write(json_writer *w, const char *key, const run_inputs *g);
err run_inputs_read(const json_t *object, run_inputs *g) ERR_MUST_CHECK;

/* Compares the current inputs with those of the checkpoint `path`. ERR_INPUT with both values and
 * the remedy when data, vocabulary, lexicon or initial weights differ; a line in `remarks` for
 * differences that are allowed: evaluation sets and the program. An unknown digest matches any
 * other. */
err run_inputs_compare(const char *path, const run_inputs *before, const run_inputs *now,
                       const settings *s, strbuf *remarks) ERR_MUST_CHECK;

#endif
