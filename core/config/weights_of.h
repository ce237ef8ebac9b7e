/* What a model's weights belong to: settings that the shapes of its tensors do not show, and those
 * that decide on these shapes. */
#ifndef FLIP_CONFIG_WEIGHTS_OF_H
#define FLIP_CONFIG_WEIGHTS_OF_H

#include "config/settings.h"

/* What is known of the model; OF_POOLING: also what becomes of the towers' outputs. */
enum {
  OF_IMAGE = 1,
  OF_TEXT = 2,
  OF_POOLING = 4,
  OF_TOKENIZER = 8,
  OF_SHAPES = 16, /* the settings that decide on shapes are compared, too */
  OF_WHOLE_MODEL = OF_IMAGE | OF_TEXT | OF_POOLING | OF_TOKENIZER
};

/* A setting in which two settings of a model differ. */
typedef struct {
  const char *key, *before, *now; /* values as in YAML */
  bool is_use;   /* of what the weights are given and what is made of the result: they compute the
                  * same, and training may go on from them; else they compute something else */
  bool is_shape; /* of a setting that decides on shapes */
} weights_difference;

/* Calls `visit` for each difference within `parts`, in one order, until it fails. Image size and
 * patch may differ: positions and the patch embedding are resized. */
err weights_compare(const settings *before, const settings *now, unsigned parts,
                    err (*visit)(void *context, const weights_difference *difference),
                    void *context) ERR_MUST_CHECK;

#endif
