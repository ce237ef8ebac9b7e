/* Fields of a sample's JSON member. */
#ifndef FLIP_READ_RECORD_H
#define FLIP_READ_RECORD_H

#include <stddef.h>

#include "base/err.h"

/* The value of labels.NAME, or of NAME at the top level, as a string that the caller frees; NULL
 * when the sample has none. Invalid JSON is an error. */
err sample_label(const char *json, const char *name, char **value) ERR_MUST_CHECK;

/* The text of field NAME, or of labels.NAME where there is none at the top level, without NUL, for
 * captions; otherwise the same. */
err sample_caption(const char *json, const char *name, char **value) ERR_MUST_CHECK;

/* The strings of the list NAME, or of labels.NAME where there is none at the top level, integers as
 * their digits (a single one is a list of one); the caller frees each string and the list. *strings
 * is NULL when the sample has neither; an empty list has *count 0. */
err sample_strings(const char *json, const char *name, char ***strings,
                   size_t *count) ERR_MUST_CHECK;
/* The same of labels: of labels.NAME, or NAME where there is none. */
err sample_labels(const char *json, const char *name, char ***labels, size_t *count) ERR_MUST_CHECK;

#endif
