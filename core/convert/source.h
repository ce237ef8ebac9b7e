/* One input file of a model, and what stands beside it. Internal to core/convert/. */
#ifndef FLIP_CONVERT_SOURCE_H
#define FLIP_CONVERT_SOURCE_H

#include "convert/tensor_set.h"
#include "convert/weights.h"

typedef struct {
  char *path, *folder; /* the file of the tensors; where its configuration is */
  tensor_set file;
  weights_format format;
} source;

/* `path`: a model's folder, a run's, or a file; a line in `remarks` where a folder holds two.
 * source_close_model also works after a failure. */
err source_open_model(const char *path, source *s, strbuf *remarks) ERR_MUST_CHECK;
void source_close_model(source *s);
/* The settings, the vocabulary's size and the end of text that its configuration gives. */
err source_read_model(const source *from, weights *w) ERR_MUST_CHECK;

#endif
