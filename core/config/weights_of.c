#include "config/weights_of.h"

#include <string.h>

#include "base/mem.h"

static const struct {
  const char *key;
  unsigned parts; /* all of them must be known */
  bool is_use;
} rows[] = {{"image.width", OF_IMAGE | OF_SHAPES, false},
            {"image.layers", OF_IMAGE | OF_SHAPES, false},
            {"image.mlp_ratio", OF_IMAGE | OF_SHAPES, false},
            {"text.width", OF_TEXT | OF_SHAPES, false},
            {"text.layers", OF_TEXT | OF_SHAPES, false},
            {"text.mlp_ratio", OF_TEXT | OF_SHAPES, false},
            {"text.length", OF_TEXT | OF_SHAPES, false},
            {"embed_dim", OF_TEXT | OF_SHAPES, false},
            {"reconstruction.width", OF_WHOLE_MODEL | OF_SHAPES, false},
            {"reconstruction.layers", OF_WHOLE_MODEL | OF_SHAPES, false},
            {"image.heads", OF_IMAGE, false},
            {"image.position", OF_IMAGE, false},
            {"image.class_token", OF_IMAGE, false},
            {"image.pool", OF_IMAGE | OF_POOLING, false},
            {"image.pre_norm", OF_IMAGE, false},
            {"image.patch_bias", OF_IMAGE, false},
            {"image.activation", OF_IMAGE, false},
            {"image.norm_eps", OF_IMAGE, false},
            {"image.normalization", OF_IMAGE, true},
            {"text.heads", OF_TEXT, false},
            {"text.tokenizer", OF_TEXT | OF_TOKENIZER, false},
            {"text.causal", OF_TEXT, false},
            {"text.pool", OF_TEXT | OF_POOLING, false},
            {"text.post_norm", OF_TEXT, false},
            {"text.activation", OF_TEXT, false},
            {"text.padding_mask", OF_TEXT, false},
            {"text.norm_eps", OF_TEXT, false},
            {"text.special_tokens", OF_TEXT, true},
            {"text.repair", OF_TEXT | OF_TOKENIZER, true},
            {"normalize", OF_TEXT | OF_POOLING, true},
            {"reconstruction.heads", OF_WHOLE_MODEL, false}};

/* Has neither model, or only one of them, what the setting is of? */
static bool is_of_neither(const char *key, const settings *before, const settings *now) {
  bool have_decoder = before->reconstruction_weight > 0 && now->reconstruction_weight > 0;
  return strncmp(key, "reconstruction.", 15) == 0 && !have_decoder;
}

/* Ratios of one width may leave the MLP the same one. */
static bool is_same_width(const char *key, const settings *before, const settings *now) {
  if (strcmp(key, "image.mlp_ratio") == 0)
    return settings_hidden_width(before->image_width, before->image_mlp_ratio) ==
           settings_hidden_width(now->image_width, now->image_mlp_ratio);
  return strcmp(key, "text.mlp_ratio") == 0 &&
         settings_hidden_width(before->text_width, before->text_mlp_ratio) ==
             settings_hidden_width(now->text_width, now->text_mlp_ratio);
}

err weights_compare(const settings *before, const settings *now, unsigned parts,
                    err (*visit)(void *context, const weights_difference *difference),
                    void *context) {
  err error = NULL;
  for (size_t i = 0; i < sizeof rows / sizeof *rows && !error; i++) {
    const setting *row = settings_find(rows[i].key);
    strbuf own = {0}, other = {0};
    if ((rows[i].parts & parts) != rows[i].parts || is_of_neither(rows[i].key, before, now) ||
        is_same_width(rows[i].key, before, now))
      continue;
    setting_format(row, now, &own);
    setting_format(row, before, &other);
    const weights_difference difference = {rows[i].key, strbuf_string(&other), strbuf_string(&own),
                                           rows[i].is_use, rows[i].parts & OF_SHAPES};
    if (own.is_broken || other.is_broken)
      error = mem_error(0, "the settings");
    else if (strcmp(difference.before, difference.now) != 0)
      error = visit(context, &difference);
    strbuf_free(&own);
    strbuf_free(&other);
  }
  return error;
}
