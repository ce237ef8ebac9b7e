/* Character references of HTML in captions that came from web pages: &amp; &#233; &eacute. */
#ifndef FLIP_TEXT_HTML_ENTITIES_H
#define FLIP_TEXT_HTML_ENTITIES_H

#include "base/err.h"
#include "base/text.h"

/* Appends `text` with every reference replaced, as Python's html.unescape does it: the semicolon
 * may be missing, the longest known name counts, numbers in 128 … 159 are Windows-1252. */
err html_unescape(const char *text, strbuf *out) ERR_MUST_CHECK;

/* As ftfy's unescape_html: only whole references with their semicolon, and upper-case spellings
 * (&EACUTE;) of names that have none of their own. */
err html_unescape_whole(const char *text, strbuf *out) ERR_MUST_CHECK;

#endif
