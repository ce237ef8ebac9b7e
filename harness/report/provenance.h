/* Everything that is recorded of one run: where its numbers come from and what they are. */
#ifndef FLIPBENCH_REPORT_PROVENANCE_H
#define FLIPBENCH_REPORT_PROVENANCE_H

#include "base/text.h"
#include "store/store.h"

err provenance_text(store *s, int64_t run_id, strbuf *out) ERR_MUST_CHECK;
err provenance_json(store *s, int64_t run_id, strbuf *out) ERR_MUST_CHECK;

#endif
