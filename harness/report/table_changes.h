/* Two tables as report_write_json writes them: whether they say the same. Numbers of runs, which a
 * database gives in the order of its reading, are no part of what they say. */
#ifndef FLIPBENCH_REPORT_TABLE_CHANGES_H
#define FLIPBENCH_REPORT_TABLE_CHANGES_H

#include <stddef.h>

#include "base/err.h"
#include "base/text.h"

/* Appends the first few differences, a line each; *count is how many there are. */
err table_changes(const char *first, const char *again, strbuf *out, size_t *count) ERR_MUST_CHECK;

#endif
