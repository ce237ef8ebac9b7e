/* The words that a program is measured with, written so that equal measurements have equal words
 * and other measurements other ones: they are part of a series' identity. Internal to timing/. */
#ifndef FLIPBENCH_TIMING_WORDS_H
#define FLIPBENCH_TIMING_WORDS_H

#include "base/options.h"
#include "base/text.h"

/* "bench step -s batch_size=32 -s precision=fp32". The words before the first option keep their
 * order; options, each with the words behind it, are sorted; of the same option given twice with
 * the same key (-s key=value, --name=value) the last one counts. Left out are what changes how long
 * is measured and how it is printed, not what: --json, -n N, --steps N, --no-progress. A word that
 * is the name of a file gets 8 digits of its content: "-c model.yaml@1a2b3c4d". */
void words_write(const option_list *words, strbuf *out);

#endif
