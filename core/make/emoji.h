/* The test set with distribution shift: emoji as images, from Debian's fonts-noto-color-emoji, with
 * names from unicode-cldr-core. */
#ifndef FLIP_MAKE_EMOJI_H
#define FLIP_MAKE_EMOJI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  const char *font, *cldr; /* NotoColorEmoji.ttf; the folder common/ of CLDR */
  const char *out;
  int64_t size, shard_size;
  bool has_progress;
} emoji_options;

typedef struct {
  int64_t named, drawn, without_glyph, without_group, shards;
} emoji_result;

/* Writes OUT/emoji-*.tar: every annotated character or sequence that the font renders as one glyph.
 * Caption: "name, keyword, …"; labels: group and subgroup. Skin-tone variants are omitted: they
 * differ in one word. */
err emoji_pack(const emoji_options *options, emoji_result *result) ERR_MUST_CHECK;

#endif
