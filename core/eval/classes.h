/* The classes of an evaluation set: identified by the labels in the data, and checked against them.
 * Internal to core/eval/. */
#ifndef FLIP_EVAL_CLASSES_H
#define FLIP_EVAL_CLASSES_H

#include "config/settings.h"
#include "text/plain_text.h"
#include "eval/set.h"

/* Cuts off the white space at the ends, in place: it is no part of a label. */
void classes_trim(char *label);
/* LABEL<tab>NAME on each line; without a tab the line is both. The lists point into `lines`. */
err classes_read_file(const char *path, text_lines *lines, settings_list *labels,
                      settings_list *names) ERR_MUST_CHECK;
/* A duplicate label is an error; file, lines: the source of the labels, or NULL. */
err classes_check(const settings_list *labels, const char *file,
                  const text_lines *lines) ERR_MUST_CHECK;

typedef struct {
  const char *label;                    /* which label of a sample gives its class */
  int64_t min_images;                   /* of a class; 1: a given one may have none */
  const settings_list *classes, *names; /* the given ones; count 0: every label is a class */
} class_request;

/* Fills the set's classes and the class of each row from the rows' labels (NULL: none). Classes
 * without images and images without a class are counted and named in the set's warnings; it is an
 * error, which shows both, if no image has a class. */
err classes_choose(eval_set *set, const class_request *request, char **labels) ERR_MUST_CHECK;

/* The classes as given, independent of the data; names->count 0: named by their labels. */
err classes_take_given(eval_set *set, const settings_list *labels,
                       const settings_list *names) ERR_MUST_CHECK;

bool classes_have_one_name(const eval_set *set);

#endif
