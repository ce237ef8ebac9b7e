/* Compares two tables written by report_write_json. Run ids, which depend on the order of
 * ingestion, are ignored. */
#ifndef FLIPBENCH_REPORT_TABLE_CHANGES_H
#define FLIPBENCH_REPORT_TABLE_CHANGES_H

#include <stddef.h>

#include "base/err.h"
#include "base/text.h"

/* Appends the first few differences, one per line; *count is their number. */
err table_changes(const char *first, const char *again, strbuf *out, size_t *count) ERR_MUST_CHECK;

#endif
