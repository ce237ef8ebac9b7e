/* CSV according to RFC 4180: comma-separated fields, quoted where necessary, lines terminated by
 * CRLF (which the caller writes). Internal to store/ and report/. */
#ifndef FLIPBENCH_STORE_CSV_H
#define FLIPBENCH_STORE_CSV_H

#include <stdbool.h>

#include "base/text.h"

void csv_field(const char *text, bool is_first, strbuf *out);
/* The shortest decimal that round-trips to the same double; empty for NaN. */
void csv_number(double value, bool is_first, strbuf *out);

#endif
