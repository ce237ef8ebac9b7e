/* Cleans what people wrote about their drawings, and builds a caption from it. The rules are
 * described in docs/data.md; each is a row of tests/data/test_caption.c. */
#ifndef FLIP_MAKE_CAPTION_H
#define FLIP_MAKE_CAPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

/* Trimmed, markup removed, runs of white space collapsed, underscores replaced by spaces. */
void caption_tidy(const char *text, strbuf *out);

/* A title that describes this drawing: "" for boilerplate ("Part of the Flat Icon Collection (Wed
 * Aug 25 23:29:46 2004)"), addresses and numbers; "Clipart by NAME - x" becomes x. */
void caption_clean_title(const char *title, strbuf *out);
/* Words of a file name without extension, trailing digits and words of the author's name. */
void caption_from_file(const char *file_name, const char *creator, strbuf *out);
/* "" for descriptions that are about the file or the author: addresses, "created with". */
void caption_clean_description(const char *description, strbuf *out);
/* True when some word of `a` is a word of `b`, ignoring case. */
bool caption_shares_word(const char *a, const char *b);
/* "" for keywords without information: empty, hash, 0x87fadcc, numbers, unsorted. */
void caption_clean_keyword(const char *keyword, strbuf *out);

typedef struct {
  const char *title, *description; /* cleaned; "" when there is none */
  const char *const *keywords;     /* cleaned, without empty ones */
  size_t keyword_count;
} caption_parts;

/* "Title. Description, keyword, keyword": parts that only repeat earlier words are omitted; at most
 * 40 words. */
void caption_join(const caption_parts *parts, strbuf *out);

#endif
