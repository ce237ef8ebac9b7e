#include "convert/names.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* hf: transformers' CLIPModel; open_clip: its CLIP class; bert, vit: transformers' BertModel and
 * ViTModel, one tower each. In BERT the norm of the embeddings precedes the first block, and a
 * block's norms follow its parts: `text.norm` and `norm1`, `norm2` of a post-norm tower. */
static const tensor_name rows[] = {
    {"logit_scale", LAYOUT_SCALAR, {"logit_scale", "logit_scale", NULL, NULL}},

    {"image.patch.weight",
     LAYOUT_PATCHES,
     {"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight", NULL,
      "embeddings.patch_embeddings.projection.weight"}},
    {"image.patch.bias",
     LAYOUT_PLAIN,
     {NULL, NULL, NULL, "embeddings.patch_embeddings.projection.bias"}},
    {"image.class_token",
     LAYOUT_PLAIN,
     {"vision_model.embeddings.class_embedding", "visual.class_embedding", NULL,
      "embeddings.cls_token"}},
    {"image.positions",
     LAYOUT_PLAIN,
     {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding", NULL,
      "embeddings.position_embeddings"}},
    {"image.pre_norm.weight",
     LAYOUT_PLAIN,
     {"vision_model.pre_layrnorm.weight", "visual.ln_pre.weight", NULL, NULL}},
    {"image.pre_norm.bias",
     LAYOUT_PLAIN,
     {"vision_model.pre_layrnorm.bias", "visual.ln_pre.bias", NULL, NULL}},
    {"image.norm.weight",
     LAYOUT_PLAIN,
     {"vision_model.post_layernorm.weight", "visual.ln_post.weight", NULL, "layernorm.weight"}},
    {"image.norm.bias",
     LAYOUT_PLAIN,
     {"vision_model.post_layernorm.bias", "visual.ln_post.bias", NULL, "layernorm.bias"}},
    {"image.projection.weight",
     LAYOUT_PROJECTION,
     {"visual_projection.weight", "visual.proj", NULL, NULL}},

    {"text.words",
     LAYOUT_PLAIN,
     {"text_model.embeddings.token_embedding.weight", "token_embedding.weight",
      "embeddings.word_embeddings.weight", NULL}},
    {"text.positions",
     LAYOUT_POSITIONS,
     {"text_model.embeddings.position_embedding.weight", "positional_embedding",
      "embeddings.position_embeddings.weight", NULL}},
    {"text.norm.weight",
     LAYOUT_PLAIN,
     {"text_model.final_layer_norm.weight", "ln_final.weight", "embeddings.LayerNorm.weight",
      NULL}},
    {"text.norm.bias",
     LAYOUT_PLAIN,
     {"text_model.final_layer_norm.bias", "ln_final.bias", "embeddings.LayerNorm.bias", NULL}},
    {"text.projection.weight",
     LAYOUT_PROJECTION,
     {"text_projection.weight", "text_projection", NULL, NULL}},

#define BLOCK(name, hf, open_clip, bert, vit)                                                      \
  {"image.blocks.#." name,                                                                         \
   LAYOUT_PLAIN,                                                                                   \
   {"vision_model.encoder.layers.#." hf, "visual.transformer.resblocks.#." open_clip, NULL,        \
    "encoder.layer.#." vit}},                                                                      \
  {                                                                                                \
    "text.blocks.#." name, LAYOUT_PLAIN, {                                                         \
      "text_model.encoder.layers.#." hf, "transformer.resblocks.#." open_clip,                     \
          "encoder.layer.#." bert, NULL                                                            \
    }                                                                                              \
  }
    BLOCK("norm1.weight", "layer_norm1.weight", "ln_1.weight", "attention.output.LayerNorm.weight",
          "layernorm_before.weight"),
    BLOCK("norm1.bias", "layer_norm1.bias", "ln_1.bias", "attention.output.LayerNorm.bias",
          "layernorm_before.bias"),
    BLOCK("qkv.weight", "self_attn.{q_proj,k_proj,v_proj}.weight", "attn.in_proj_weight",
          "attention.self.{query,key,value}.weight",
          "attention.attention.{query,key,value}.weight"),
    BLOCK("qkv.bias", "self_attn.{q_proj,k_proj,v_proj}.bias", "attn.in_proj_bias",
          "attention.self.{query,key,value}.bias", "attention.attention.{query,key,value}.bias"),
    BLOCK("out.weight", "self_attn.out_proj.weight", "attn.out_proj.weight",
          "attention.output.dense.weight", "attention.output.dense.weight"),
    BLOCK("out.bias", "self_attn.out_proj.bias", "attn.out_proj.bias",
          "attention.output.dense.bias", "attention.output.dense.bias"),
    BLOCK("norm2.weight", "layer_norm2.weight", "ln_2.weight", "output.LayerNorm.weight",
          "layernorm_after.weight"),
    BLOCK("norm2.bias", "layer_norm2.bias", "ln_2.bias", "output.LayerNorm.bias",
          "layernorm_after.bias"),
    BLOCK("fc1.weight", "mlp.fc1.weight", "mlp.c_fc.weight", "intermediate.dense.weight",
          "intermediate.dense.weight"),
    BLOCK("fc1.bias", "mlp.fc1.bias", "mlp.c_fc.bias", "intermediate.dense.bias",
          "intermediate.dense.bias"),
    BLOCK("fc2.weight", "mlp.fc2.weight", "mlp.c_proj.weight", "output.dense.weight",
          "output.dense.weight"),
    BLOCK("fc2.bias", "mlp.fc2.bias", "mlp.c_proj.bias", "output.dense.bias", "output.dense.bias"),
#undef BLOCK
};

static const struct {
  weights_format format;
  const char *pattern;
} ignored[] = {{WEIGHTS_HF, "*.position_ids"},
               {WEIGHTS_OPEN_CLIP, "attn_mask"},
               {WEIGHTS_BERT, "*.position_ids"},
               {WEIGHTS_BERT, "embeddings.token_type_embeddings.weight"}, /* LAYOUT_POSITIONS */
               {WEIGHTS_BERT, "pooler.*"},
               {WEIGHTS_BERT, "cls.*"},
               {WEIGHTS_VIT, "pooler.*"},
               {WEIGHTS_VIT, "classifier.*"}};

const tensor_name *names_find(const char *name, int64_t *block) {
  char general[PARAM_NAME_SIZE];
  const char *number = strstr(name, ".blocks.");
  *block = -1;
  snprintf(general, sizeof general, "%s", name);
  if (number) {
    number += strlen(".blocks.");
    const char *rest = text_read_whole(number, block);
    if (!rest) return NULL;
    snprintf(general, sizeof general, "%.*s#%s", (int)(number - name), name, rest);
  }
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].flip, general) == 0) return &rows[i];
  return NULL;
}

/* `pattern` with its number substituted and, of {a,b,c}, choice `part`. False: no such part. */
static bool fill(const char *pattern, int64_t block, size_t part, char *out, size_t size) {
  size_t at = 0;
  bool has_parts = false;
  while (*pattern && at + 32 < size) {
    if (*pattern == '#') {
      at += (size_t)snprintf(out + at, size - at, "%ld", (long)block);
      pattern++;
    } else if (*pattern == '{') {
      const char *end = strchr(pattern, '}'), *choice = pattern + 1;
      for (size_t i = 0; i < part && choice < end; i++) choice += strcspn(choice, ",}") + 1;
      if (choice >= end) return false;
      size_t length = strcspn(choice, ",}");
      memcpy(out + at, choice, length);
      at += length;
      pattern = end + 1;
      has_parts = true;
    } else {
      out[at++] = *pattern++;
    }
  }
  out[at] = '\0';
  return has_parts || part == 0;
}

size_t names_foreign(const tensor_name *row, int64_t block, weights_format format,
                     char names[NAME_PARTS][FOREIGN_NAME]) {
  const char *pattern = row->names[format - 1];
  size_t parts = 0;
  while (pattern && parts < NAME_PARTS && fill(pattern, block, parts, names[parts], FOREIGN_NAME))
    parts++;
  return parts;
}

bool names_is_ignored(const char *foreign, weights_format format) {
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
    if (ignored[i].format == format && fnmatch(ignored[i].pattern, foreign, 0) == 0) return true;
  return false;
}
