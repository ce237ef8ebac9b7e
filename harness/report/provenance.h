/* Everything recorded about one run: provenance and results. */
#ifndef FLIPBENCH_REPORT_PROVENANCE_H
#define FLIPBENCH_REPORT_PROVENANCE_H

#include "base/text.h"
#include "store/store.h"

err provenance_text(store *s, int64_t run_id, strbuf *out) ERR_MUST_CHECK;
err provenance_json(store *s, int64_t run_id, strbuf *out) ERR_MUST_CHECK;

/* The state of the machine at the start of an attempt, stored as JSON, as text: "2 CPUs, load 0.5,
 * 3.10 GiB free"; empty when none was recorded. */
void provenance_conditions(const char *json, strbuf *out);

#endif
