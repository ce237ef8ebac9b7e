/* How CLIP cleans a caption and splits it into words before byte-pair encoding. */
#ifndef FLIP_TEXT_CLIP_TEXT_H
#define FLIP_TEXT_CLIP_TEXT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/text.h"

/* OpenAI's and open_clip's clean-up ("lower"): ftfy.fix_text, html.unescape twice, white space made
 * single, lower case. `repairs`: with ftfy's repair of wrongly decoded text; else "Ã©" stays. */
err clip_text_clean(const char *text, bool repairs, strbuf *out) ERR_MUST_CHECK;

/* That of Hugging Face's CLIPTokenizer: NFC, runs of white space one space, lower case character
 * by character. */
err clip_text_clean_huggingface(const char *text, strbuf *out) ERR_MUST_CHECK;

/* Length in bytes of the next word of a cleaned text at *at, which is moved past the white space in
 * front of it: a contraction ('s 't 're 've 'm 'll 'd), a run of letters, one number character, or
 * a run of anything else but space. 0 at the end. */
size_t clip_text_next_word(const char **at, bool is_huggingface);

#endif
