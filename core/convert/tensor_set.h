/* The tensors of a model in one safetensors file, or in several with an index
 * (model.safetensors.index.json), as transformers writes large models. Internal to
 * core/convert/. */
#ifndef FLIP_CONVERT_TENSOR_SET_H
#define FLIP_CONVERT_TENSOR_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "train/safetensors.h"

typedef struct {
  const safetensors_file **files;
  size_t count;
} tensor_set;

/* path: a .safetensors file, or an index (….index.json), all of whose tensors must be where it
 * says. Call tensor_set_close also after an error. */
err tensor_set_open(const char *path, tensor_set *set) ERR_MUST_CHECK;
void tensor_set_close(tensor_set *set);

/* NULL when there is none. A tensor saved under two names (safetensors' save_model stores the other
 * in the metadata) is found under both. */
const safetensor *tensor_set_find(const tensor_set *set, const char *name);
/* A value of the metadata of any of the files, or NULL. */
const char *tensor_set_metadata(const tensor_set *set, const char *key);
bool tensor_set_is_index(const char *path);

#endif
