/* What the runs in a folder of `flipbench reproduce` were trained on: a record next to them, so
 * that a later call cannot judge them by data that it found and they never read. */
#ifndef FLIPBENCH_EXCHANGE_TRAINED_INPUTS_H
#define FLIPBENCH_EXCHANGE_TRAINED_INPUTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* Writes FOLDER/inputs.json, with the fingerprints of `here` (as localise_inputs made it). If
 * has_runs, the folder's runs were begun earlier: nothing is written, and other fingerprints than
 * the recorded ones are an ERR_INPUT that names each. */
err trained_inputs_keep(const char *folder, bool has_runs, const json_t *here) ERR_MUST_CHECK;

#endif
