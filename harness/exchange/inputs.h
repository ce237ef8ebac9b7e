/* What the runs of an experiment read besides the experiment file and its bases, as `flip inputs`
 * lists it: an array of objects with
 *
 *   role         train, evaluation (images of a set), set, vocabulary, lexicon, classes, templates,
 *                weights, required (files that the experiment says a machine must have)
 *   setting      where it is named; names: as written there; paths: the files, folders and patterns
 *   order        "stream": training data read with data.order: stream, which has another
 *                fingerprint of large data; absent: exact
 *   files        [{path, found, bytes}]; samples, bytes, fingerprint
 *   problem      why it cannot be read here; null when it can
 *
 * Internal to exchange/. */
#ifndef FLIPBENCH_EXCHANGE_INPUTS_H
#define FLIPBENCH_EXCHANGE_INPUTS_H

#include <jansson.h>

#include "experiment/spec.h"

/* Of all cells, each once; paths are relative to the current folder. A trainer that cannot list
 * them (or none: `flip` NULL) is a warning: names alone are known then. */
err inputs_list(const char *flip, const spec_experiment *e, json_t **inputs) ERR_MUST_CHECK;

bool inputs_has_role(const json_t *input, const char *role);
/* Training and evaluation data, which is not packed. */
bool inputs_is_data(const json_t *input);
const char *inputs_text(const json_t *input, const char *key); /* "" for none */
/* The one of the same role, setting, names and order; NULL when there is none. */
json_t *inputs_find(const json_t *list, const json_t *input);
/* The same in a record, whose maker may not have known of orders. */
json_t *inputs_find_recorded(const json_t *recorded, const json_t *input);
/* Whether runs with these settings are trained on `input`, by its names and order. */
bool inputs_is_train_data_of(const json_t *input, const settings *s);
/* "training data data/openclipart/train-*.tar" */
void inputs_describe(const json_t *input, strbuf *out);

#endif
