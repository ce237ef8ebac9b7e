/* Templates of captions and prompts: `a photo of a {}`, where {} or {c} is the placeholder for a
 * name. */
#ifndef FLIP_TEXT_TEMPLATE_H
#define FLIP_TEXT_TEMPLATE_H

#include "base/err.h"
#include "base/text.h"

/* An ERR_INPUT if a template is invalid: no placeholder, so that all classes would get the same
 * prompt, or braces with another meaning elsewhere ({0}, {name}). */
err template_check(const char *pattern) ERR_MUST_CHECK;

/* Appends `pattern` with each {} and {c} replaced by `name`. */
void template_fill(const char *pattern, const char *name, strbuf *out);

#endif
