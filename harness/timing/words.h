/* Canonical form of the arguments that a program is measured with, so that equal measurements have
 * equal text: it is part of a series' identity. Internal to timing/. */
#ifndef FLIPBENCH_TIMING_WORDS_H
#define FLIPBENCH_TIMING_WORDS_H

#include "base/options.h"
#include "base/text.h"

/* "bench step -s batch_size=32 -s precision=fp32". The words before the first option keep their
 * order; options, each with its arguments, are sorted; of settings with the same key (-s key=value)
 * the last one is kept; other options may be lists, of which all values are kept in their order
 * ("--name=value" as "--name value"). Options that only affect the number of repetitions
 * and the output are omitted: --json, -n N, --steps N, --no-progress. A word that is the name of a
 * file gets 8 digits of its content's hash, of a run file with its bases: "-c model.yaml@1a2b3c4d".
 * Environment variables that change what is measured come first: "FLIP_CPU_KERNELS=x86-64-v2 bench
 * step". */
void words_write(const option_list *words, strbuf *out);

#endif
