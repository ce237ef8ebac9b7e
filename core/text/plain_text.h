/* Text input: captions, and files of lines. Nothing is truncated at a NUL, and invalid UTF-8 is
 * rejected instead of being read as another encoding. */
#ifndef FLIP_TEXT_PLAIN_TEXT_H
#define FLIP_TEXT_PLAIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Copies `bytes` into a new string. NUL characters are dropped, as in BERT's and CLIP's cleaning;
 * invalid UTF-8 is an ERR_INPUT that begins with `what` ("its caption"). */
err plain_text(const char *bytes, size_t size, const char *what, char **text) ERR_MUST_CHECK;

/* The lines of a file without their ends (LF, CR LF or CR) and without byte order mark. */
typedef struct {
  char *text; /* that the items point into */
  char **items;
  long *numbers; /* of each item in the file, from 1 */
  size_t count;
} text_lines;

/* keeps_blank: blank lines are items too; otherwise they are skipped, and blanks at both ends of a
 * line are stripped. NUL and bytes that are not UTF-8 are an error with their line.
 */
err text_lines_read(const char *path, bool keeps_blank, text_lines *lines) ERR_MUST_CHECK;
void text_lines_free(text_lines *lines);

#endif
