/* What two runs differ in: settings, code, machine, data, results. Equal parts are omitted. */
#ifndef FLIPBENCH_REPORT_DIFFERENCE_H
#define FLIPBENCH_REPORT_DIFFERENCE_H

#include "base/text.h"
#include "store/store.h"

/* `count`: the number of differences. */
err difference_text(store *s, int64_t run_a, int64_t run_b, strbuf *out,
                    size_t *count) ERR_MUST_CHECK;
err difference_json(store *s, int64_t run_a, int64_t run_b, strbuf *out,
                    size_t *count) ERR_MUST_CHECK;

#endif
