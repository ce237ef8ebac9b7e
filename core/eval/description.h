/* The contents of an evaluation set's file (eval.h lists its keys), before any data is read.
 * Internal to core/eval/, and for `flip inputs`. */
#ifndef FLIP_EVAL_DESCRIPTION_H
#define FLIP_EVAL_DESCRIPTION_H

#include "config/settings.h"
#include "config/yaml.h"
#include "eval/eval.h"
#include "image/corrupt.h"
#include "text/plain_text.h"

typedef struct {
  const char *name, *label, *captions, *class_file, *template_file;
  const char *ignore_label, *label_files;                /* for sets with several labels per
                                                          * image */
  settings_list images, templates, classes, class_names; /* items point into the document */
  text_lines template_lines, class_lines; /* of the files, which the lists point into */
  int64_t min_images, limit, captions_per_image;
  bool has_zeroshot, has_retrieval, has_probe, is_multilabel;
  eval_metric metric;
  image_corruption corruption;
} set_description;

/* Fills *d from a document, which must outlive it; errors are appended to `problems`. */
void description_read(const yml_document *document, set_description *d, yml_problems *problems);
/* {kind: gaussian_blur, strength: 3}; `all` leaves either open. */
void description_read_corruption(const yml_node *node, image_corruption *corruption,
                                 yml_problems *problems);
/* Restricts the set's tasks to the requested one (NULL: all); path: for the message. */
err description_narrow(const char *path, const char *task, set_description *d) ERR_MUST_CHECK;
/* Reads class_file and template_file, and checks the classes. */
err description_read_files(set_description *d) ERR_MUST_CHECK;
void description_free(set_description *d);

#endif
