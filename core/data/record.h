/* What the JSON member of a sample says. */
#ifndef FLIP_DATA_RECORD_H
#define FLIP_DATA_RECORD_H

#include "base/err.h"

/* The value of labels.NAME, or of NAME at the top level, as a string the caller frees; NULL when
 * the sample has none. JSON that does not parse is an error. */
err sample_label(const char *json, const char *name, char **value) ERR_MUST_CHECK;

#endif
