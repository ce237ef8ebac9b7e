/* The frame of every page that flipbench writes: head with style, script, light and dark; and the
 * few helpers that its parts are written with. Internal to report/.
 *
 * A page needs no network and says so to the browser (Content-Security-Policy). It can be read
 * without its script. */
#ifndef FLIPBENCH_REPORT_PAGE_H
#define FLIPBENCH_REPORT_PAGE_H

#include "base/text.h"

void page_escape(const char *text, strbuf *out);
/* open, the text escaped, close. */
void page_element(const char *open, const char *text, const char *close, strbuf *out);

/* Everything up to the content, with the title and the sections that the bar leads to: pairs of
 * id and name, ended by NULL. `up`: what the first link leads to and is called, or NULL. */
void page_begin(const char *title, const char *up, const char *up_name, const char *const *sections,
                strbuf *out);
/* `json`: what the script works with. */
void page_end(const char *json, strbuf *out);

/* A filter above the sortable table of that id; shown by the script. */
void page_filter(const char *table_id, const char *what, strbuf *out);

#endif
