/* open_clip's open_clip_config.json, both ways. It has more options than we have settings, and new
 * ones are added: every key must be known. */
#include <math.h>
#include <string.h>

#include "convert/foreign.h"

#define COUNT(fields) (sizeof(fields) / sizeof *(fields))

/* Options of both towers that must have the values of a plain transformer. */
#define PLAIN_BLOCKS                                                                               \
  {.key = "ls_init_value", .only = "null"}, {.key = "block_type", .only = "\"default\""},          \
      {.key = "qk_norm", .only = "false"}, {.key = "scaled_cosine_attn", .only = "false"},         \
      {.key = "scale_heads", .only = "false"}, {.key = "scale_attn_inner", .only = "false"},       \
      {.key = "scale_attn", .only = "false"}, {.key = "scale_fc", .only = "false"},                \
      {.key = "final_ln_after_pool", .only = "false"}, {.key = "output_tokens"},                   \
      {.key = "act_kwargs"}, {.key = "norm_kwargs"}, /* parsed separately */

/* {"act_kwargs": {"approximate": "tanh"}} and {"norm_kwargs": {"eps": 1e-6}}. */
static err read_kwargs(const json_t *part, const char *where, double *eps, int *activation) {
  const json_t *act = json_object_get(part, "act_kwargs");
  const json_t *norm = json_object_get(part, "norm_kwargs");
  static const char approximations[] = "tanh|none";
  const json_field act_fields[] = {
      {.key = "approximate", .pick = activation, .names = approximations}};
  const json_field norm_fields[] = {{.key = "eps", .real = eps}};
  *eps = 1e-5;
  err error = NULL;
  if (json_is_object(act) && json_object_size(act) > 0 && *activation == ACTIVATION_QUICK_GELU)
    return err_new(ERR_UNSUPPORTED, "%s.act_kwargs: quick_gelu takes none", where);
  if (json_is_object(act)) error = foreign_read(act, where, act_fields, COUNT(act_fields), true);
  if (!error && json_is_object(norm))
    error = foreign_read(norm, where, norm_fields, COUNT(norm_fields), true);
  return error;
}

static err read_image(const json_t *part, settings *s) {
  int64_t head_width = 64;
  s->image_size = 224, s->image_patch = 16, s->image_width = 768, s->image_layers = 12;
  s->image_mlp_ratio = 4, s->image_position = POSITION_LEARNED, s->image_class_token = true;
  s->image_patch_bias = false, s->image_pool = IMAGE_POOL_CLASS;
  s->image_normalization = NORMALIZATION_CLIP;
  const json_field fields[] = {{.key = "image_size", .whole = &s->image_size},
                               {.key = "patch_size", .whole = &s->image_patch},
                               {.key = "width", .whole = &s->image_width},
                               {.key = "layers", .whole = &s->image_layers},
                               {.key = "head_width", .whole = &head_width},
                               {.key = "mlp_ratio", .real = &s->image_mlp_ratio},
                               {.key = "patch_dropout"}, /* for training; ours is mask_ratio */
                               {.key = "attentional_pool", .only = "false"},
                               {.key = "attn_pooler_queries"},
                               {.key = "attn_pooler_heads"},
                               {.key = "no_ln_pre"}, /* parsed separately */
                               {.key = "pos_embed_type", .only = "\"learnable\""},
                               {.key = "pool_type", .only = "\"tok\""},
                               PLAIN_BLOCKS};
  s->image_pre_norm = !json_is_true(json_object_get(part, "no_ln_pre"));
  err error = foreign_read(part, "vision_cfg", fields, COUNT(fields), true);
  if (!error) error = read_kwargs(part, "vision_cfg", &s->image_norm_eps, &s->image_activation);
  s->image_heads = s->image_width / head_width;
  return error;
}

/* Of text_cfg.tokenizer_kwargs, only what says how open_clip cleans texts by default: as we do. */
static err check_tokenizer(const json_t *text) {
  const json_t *options = json_object_get(text, "tokenizer_kwargs");
  const json_field fields[] = {{.key = "clean", .only = "\"lower\""},
                               {.key = "reduction_mask", .only = "\"\""}};
  if (!options || json_is_null(options)) return NULL;
  return foreign_read(options, "text_cfg.tokenizer_kwargs", fields, COUNT(fields), true);
}

/* open_clip_config.json contains {"model_cfg": …, "preprocess_cfg": …}; the repository's own model
 * files are only the inner object. */
err foreign_read_open_clip(const json_t *root, settings *s, int64_t *vocabulary) {
  const json_t *model = json_object_get(root, "model_cfg");
  int pool = 0;
  static const int pools[] = {TEXT_POOL_EOT, TEXT_POOL_EOT, TEXT_POOL_FIRST};
  if (!model) model = root;
  *vocabulary = 49408;
  s->embed_dim = 512;
  s->text_width = 512, s->text_heads = 8, s->text_layers = 12, s->text_length = 77;
  s->text_mlp_ratio = 4, s->text_tokenizer = TOKENIZER_BPE;
  s->text_special_tokens = SPECIAL_TOKENS_BOTH;
  const json_field top[] = {{.key = "embed_dim", .whole = &s->embed_dim},
                            {.key = "quick_gelu"},
                            {.key = "init_logit_scale"},
                            {.key = "custom_text", .only = "false"},
                            {.key = "vision_cfg"},
                            {.key = "text_cfg"}};
  const json_field fields[] = {{.key = "context_length", .whole = &s->text_length},
                               {.key = "vocab_size", .whole = vocabulary},
                               {.key = "width", .whole = &s->text_width},
                               {.key = "heads", .whole = &s->text_heads},
                               {.key = "layers", .whole = &s->text_layers},
                               {.key = "mlp_ratio", .real = &s->text_mlp_ratio},
                               {.key = "pool_type", .pick = &pool, .names = "argmax|eos|first"},
                               {.key = "no_causal_mask"}, /* parsed separately */
                               {.key = "embed_cls", .only = "false"},
                               {.key = "proj_bias", .only = "false"},
                               {.key = "proj_type", .only = "\"linear\""},
                               {.key = "pad_id"}, /* padding is not masked in this tower */
                               {.key = "eos_id"},
                               {.key = "hf_tokenizer_name"},
                               {.key = "tokenizer_mode", .only = "null"},
                               {.key = "tokenizer_kwargs"}, /* parsed separately */
                               PLAIN_BLOCKS};
  bool is_quick = json_is_true(json_object_get(model, "quick_gelu"));
  s->image_activation = s->text_activation = is_quick ? ACTIVATION_QUICK_GELU : ACTIVATION_GELU_ERF;
  const json_t *text = json_object_get(model, "text_cfg");
  err error = foreign_read(model, "model_cfg", top, COUNT(top), true);
  if (!error) error = foreign_read(text, "text_cfg", fields, COUNT(fields), true);
  if (!error) error = check_tokenizer(text);
  if (!error) error = read_kwargs(text, "text_cfg", &s->text_norm_eps, &s->text_activation);
  s->text_pool = pools[pool];
  s->text_causal = !json_is_true(json_object_get(text, "no_causal_mask"));
  if (!error) error = read_image(json_object_get(model, "vision_cfg"), s);
  if (!error) error = foreign_read_preprocess_cfg(json_object_get(root, "preprocess_cfg"), s);
  return error;
}

static const json_t *text_of(const json_t *root) {
  const json_t *model = json_object_get(root, "model_cfg");
  return json_object_get(model ? model : root, "text_cfg");
}

const char *foreign_other_tokenizer(const json_t *root) {
  const char *name = json_string_value(json_object_get(text_of(root), "hf_tokenizer_name"));
  return name ? name : "";
}

err foreign_read_eos_id(const json_t *root, int64_t *end) {
  const json_t *text = text_of(root);
  const char *pool = json_string_value(json_object_get(text, "pool_type"));
  const json_t *value = json_object_get(text, "eos_id");
  *end = END_IS_LARGEST;
  if (!pool || strcmp(pool, "eos") != 0) return NULL;
  *end = 2; /* open_clip's default */
  if (!value || json_is_null(value)) return NULL;
  if (!json_is_integer(value) || json_integer_value(value) < 1)
    return err_new(ERR_UNSUPPORTED, "text_cfg.eos_id: expected one number above 0");
  *end = json_integer_value(value);
  return NULL;
}

/* Optional keys of both towers in addition to their sizes. */
static void write_kwargs(json_writer *w, int activation, double eps) {
  if (activation == ACTIVATION_GELU_TANH) {
    jsonw_object(w, "act_kwargs");
    jsonw_string(w, "approximate", "tanh");
    jsonw_end(w);
  }
  if (fabs(eps - 1e-5) > 1e-12) {
    jsonw_object(w, "norm_kwargs");
    jsonw_number(w, "eps", eps);
    jsonw_end(w);
  }
}

static void write_towers(json_writer *w, const settings *s, int64_t vocabulary,
                         int64_t end_of_text) {
  jsonw_object(w, "vision_cfg");
  jsonw_integer(w, "image_size", s->image_size);
  jsonw_integer(w, "layers", s->image_layers);
  jsonw_integer(w, "width", s->image_width);
  jsonw_integer(w, "head_width", s->image_width / s->image_heads);
  jsonw_number(w, "mlp_ratio", s->image_mlp_ratio);
  jsonw_integer(w, "patch_size", s->image_patch);
  if (!s->image_pre_norm) jsonw_bool(w, "no_ln_pre", true);
  write_kwargs(w, s->image_activation, s->image_norm_eps);
  jsonw_end(w);
  jsonw_object(w, "text_cfg");
  jsonw_integer(w, "context_length", s->text_length);
  jsonw_integer(w, "vocab_size", vocabulary);
  jsonw_integer(w, "width", s->text_width);
  jsonw_integer(w, "heads", s->text_heads);
  jsonw_integer(w, "layers", s->text_layers);
  jsonw_number(w, "mlp_ratio", s->text_mlp_ratio);
  if (!s->text_causal) jsonw_bool(w, "no_causal_mask", true);
  if (s->text_pool == TEXT_POOL_FIRST) jsonw_string(w, "pool_type", "first");
  /* CLIP's own end of text is the largest id, which the default pooling looks for */
  if (s->text_pool == TEXT_POOL_EOT && end_of_text != vocabulary - 1) {
    jsonw_string(w, "pool_type", "eos");
    jsonw_integer(w, "eos_id", end_of_text);
  }
  write_kwargs(w, s->text_activation, s->text_norm_eps);
  jsonw_end(w);
}

static const char *const resize_modes[] = {"shortest", "squash", "longest"};

void foreign_write_open_clip(const settings *s, int64_t vocabulary, int64_t end_of_text,
                             strbuf *out) {
  json_writer writer = jsonw_start(out), *w = &writer;
  jsonw_object(w, NULL);
  jsonw_object(w, "model_cfg");
  jsonw_integer(w, "embed_dim", s->embed_dim);
  jsonw_bool(w, "quick_gelu", s->text_activation == ACTIVATION_QUICK_GELU);
  write_towers(w, s, vocabulary, end_of_text);
  jsonw_end(w);
  jsonw_object(w, "preprocess_cfg");
  foreign_write_normalization(w, "mean", "std", s);
  jsonw_string(w, "interpolation",
               s->image_interpolation == INTERPOLATION_BILINEAR ? "bilinear" : "bicubic");
  jsonw_string(w, "resize_mode", resize_modes[s->image_resize_mode]);
  if (s->image_fill) jsonw_integer(w, "fill_color", s->image_fill);
  jsonw_end(w);
  jsonw_end(w);
  strbuf_append_char(out, '\n');
}
