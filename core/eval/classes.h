/* The classes of an evaluation set: told apart by the labels in the data, and checked against them.
 * For the files of core/eval/ only. */
#ifndef FLIP_EVAL_CLASSES_H
#define FLIP_EVAL_CLASSES_H

#include "config/settings.h"
#include "text/plain_text.h"
#include "eval/set.h"

/* LABEL<tab>NAME a line; without a tab the line is both. The lists point into `lines`. */
err classes_read_file(const char *path, text_lines *lines, settings_list *labels,
                      settings_list *names) ERR_MUST_CHECK;
/* A label that is there twice is an error; file, lines: where the labels are from, or NULL. */
err classes_check(const settings_list *labels, const char *file,
                  const text_lines *lines) ERR_MUST_CHECK;

typedef struct {
  const char *label;                    /* which label of a sample names its class */
  int64_t min_images;                   /* of a class, where no classes are given */
  const settings_list *classes, *names; /* those given; count 0: every label is a class */
} class_request;

/* Fills the set's classes and the class of each row from the rows' labels (NULL: none). Classes
 * without an image and images without a class are counted and named in the set's warnings; when no
 * image has a class at all, it is an error that shows both. */
err classes_choose(eval_set *set, const class_request *request, char **labels) ERR_MUST_CHECK;

/* The classes as given, whatever the data has; names->count 0: called by their labels. */
err classes_take_given(eval_set *set, const settings_list *labels,
                       const settings_list *names) ERR_MUST_CHECK;

bool classes_have_one_name(const eval_set *set);

#endif
