/* What the runs of an experiment read besides the experiment file and its bases, as `flip inputs`
 * lists it: an array of objects with
 *
 *   role         train, evaluation (images of a set), set, vocabulary, classes, templates, weights,
 *                required (files that the experiment says a machine must have)
 *   setting      where it is named; names: as written there; paths: the files, folders and patterns
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
/* The one of the same role, setting and names; NULL when there is none. */
json_t *inputs_find(const json_t *list, const json_t *input);
/* Whether the names of `input` are those of the list setting. */
bool inputs_names_are(const json_t *input, const settings_list *names);
/* "training data data/openclipart/train-*.tar" */
void inputs_describe(const json_t *input, strbuf *out);

#endif
