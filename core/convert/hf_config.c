/* transformers' config.json: CLIPModel both ways, BertModel and ViTModel for reading. Missing keys
 * have the defaults of CLIPConfig, BertConfig and ViTConfig; unlisted keys are transformers'
 * generation and bookkeeping settings, of which these files have dozens. */
#include <string.h>

#include "convert/foreign.h"

/* By settings' ACTIVATION_*. */
#define HF_ACTIVATIONS "gelu_pytorch_tanh=gelu_new|gelu|quick_gelu"
#define COUNT(fields) (sizeof(fields) / sizeof *(fields))

static const char *const activation_names[] = {"gelu_pytorch_tanh", "gelu", "quick_gelu"};

/* A tower's part. Configurations of transformers before 4.27 have it under another name; if both
 * exist, the old one takes precedence, defaults included, as in transformers itself. Without either
 * the tower has CLIP's defaults. */
static err read_part(const json_t *root, const char *name, const char *old_name,
                     const json_field *fields, size_t count) {
  const json_t *part = json_object_get(root, name), *old = json_object_get(root, old_name);
  if (old && !json_is_null(old)) return foreign_read(old, old_name, fields, count, false);
  if (!part || json_is_null(part)) return NULL;
  return foreign_read(part, name, fields, count, false);
}

err foreign_read_end_of_text(const json_t *root, int64_t *end) {
  const json_t *part = json_object_get(root, "text_config_dict");
  if (!json_is_object(part)) part = json_object_get(root, "text_config");
  const json_t *value = json_object_get(part, "eos_token_id");
  *end = 49407;
  if (!value || json_is_null(value)) return NULL;
  if (!json_is_integer(value) || json_integer_value(value) < 1)
    return err_new(ERR_UNSUPPORTED, "text_config.eos_token_id: expected one number above 0");
  *end = json_integer_value(value) == 2 ? END_IS_LARGEST : json_integer_value(value);
  return NULL;
}

static err read_hf_image(const json_t *root, settings *s) {
  int64_t hidden = 3072;
  s->image_size = 224, s->image_patch = 32, s->image_width = 768, s->image_layers = 12;
  s->image_heads = 12, s->image_norm_eps = 1e-5, s->image_activation = ACTIVATION_QUICK_GELU;
  s->image_position = POSITION_LEARNED, s->image_class_token = true, s->image_patch_bias = false;
  s->image_pool = IMAGE_POOL_CLASS, s->image_pre_norm = true;
  s->image_normalization = NORMALIZATION_CLIP;
  const json_field fields[] = {
      {.key = "hidden_size", .whole = &s->image_width},
      {.key = "intermediate_size", .whole = &hidden},
      {.key = "num_hidden_layers", .whole = &s->image_layers},
      {.key = "num_attention_heads", .whole = &s->image_heads},
      {.key = "num_channels", .only = "3"},
      {.key = "image_size", .whole = &s->image_size},
      {.key = "patch_size", .whole = &s->image_patch},
      {.key = "hidden_act", .pick = &s->image_activation, .names = HF_ACTIVATIONS},
      {.key = "layer_norm_eps", .real = &s->image_norm_eps}};
  err error = read_part(root, "vision_config", "vision_config_dict", fields, COUNT(fields));
  s->image_mlp_ratio = (double)hidden / (double)s->image_width;
  return error;
}

err foreign_read_hf(const json_t *root, settings *s, int64_t *vocabulary) {
  int64_t hidden = 2048;
  *vocabulary = 49408;
  s->text_width = 512, s->text_layers = 12, s->text_heads = 8, s->text_length = 77;
  s->text_norm_eps = 1e-5, s->text_activation = ACTIVATION_QUICK_GELU, s->text_causal = true;
  s->text_pool = TEXT_POOL_EOT, s->text_tokenizer = TOKENIZER_BPE_HUGGINGFACE, s->embed_dim = 512;
  s->text_special_tokens = SPECIAL_TOKENS_BOTH;
  const json_field top[] = {{.key = "model_type", .only = "\"clip\""},
                            {.key = "projection_dim", .whole = &s->embed_dim}};
  const json_field fields[] = {
      {.key = "vocab_size", .whole = vocabulary},
      {.key = "hidden_size", .whole = &s->text_width},
      {.key = "intermediate_size", .whole = &hidden},
      {.key = "num_hidden_layers", .whole = &s->text_layers},
      {.key = "num_attention_heads", .whole = &s->text_heads},
      {.key = "max_position_embeddings", .whole = &s->text_length},
      {.key = "hidden_act", .pick = &s->text_activation, .names = HF_ACTIVATIONS},
      {.key = "layer_norm_eps", .real = &s->text_norm_eps}};
  err error = foreign_read(root, "config", top, COUNT(top), false);
  if (!error) error = read_part(root, "text_config", "text_config_dict", fields, COUNT(fields));
  s->text_mlp_ratio = (double)hidden / (double)s->text_width;
  return error ? error : read_hf_image(root, s);
}

err foreign_read_bert(const json_t *root, settings *s, int64_t *vocabulary) {
  int64_t hidden = 3072, positions = 512;
  *vocabulary = 30522;
  s->text_width = 768, s->text_layers = 12, s->text_heads = 12, s->text_norm_eps = 1e-12;
  s->text_activation = ACTIVATION_GELU_ERF, s->text_causal = false, s->text_pool = TEXT_POOL_FIRST;
  s->text_tokenizer = TOKENIZER_WORDPIECE, s->text_post_norm = true, s->text_padding_mask = true;
  s->text_special_tokens = SPECIAL_TOKENS_BOTH, s->text_dropout = 0.1;
  const json_field fields[] = {
      {.key = "model_type", .only = "\"bert\""},
      {.key = "vocab_size", .whole = vocabulary},
      {.key = "hidden_size", .whole = &s->text_width},
      {.key = "intermediate_size", .whole = &hidden},
      {.key = "num_hidden_layers", .whole = &s->text_layers},
      {.key = "num_attention_heads", .whole = &s->text_heads},
      {.key = "max_position_embeddings", .whole = &positions},
      {.key = "position_embedding_type", .only = "\"absolute\""},
      {.key = "is_decoder", .only = "false"},
      {.key = "hidden_dropout_prob", .real = &s->text_dropout},
      {.key = "hidden_act", .pick = &s->text_activation, .names = HF_ACTIVATIONS},
      {.key = "layer_norm_eps", .real = &s->text_norm_eps}};
  err error = foreign_read(root, "config", fields, COUNT(fields), false);
  s->text_mlp_ratio = (double)hidden / (double)s->text_width;
  s->text_length = positions;
  return error;
}

err foreign_read_vit(const json_t *root, settings *s) {
  int64_t hidden = 3072;
  s->image_size = 224, s->image_patch = 16, s->image_width = 768, s->image_layers = 12;
  s->image_heads = 12, s->image_norm_eps = 1e-12, s->image_activation = ACTIVATION_GELU_ERF;
  s->image_position = POSITION_LEARNED, s->image_class_token = true, s->image_patch_bias = true;
  s->image_pool = IMAGE_POOL_CLASS, s->image_pre_norm = false;
  s->image_normalization = NORMALIZATION_INCEPTION;
  const json_field fields[] = {
      {.key = "model_type", .only = "\"vit\""},
      {.key = "hidden_size", .whole = &s->image_width},
      {.key = "intermediate_size", .whole = &hidden},
      {.key = "num_hidden_layers", .whole = &s->image_layers},
      {.key = "num_attention_heads", .whole = &s->image_heads},
      {.key = "num_channels", .only = "3"},
      {.key = "image_size", .whole = &s->image_size},
      {.key = "patch_size", .whole = &s->image_patch},
      {.key = "qkv_bias", .only = "true"},
      {.key = "hidden_dropout_prob", .real = &s->image_dropout},
      {.key = "hidden_act", .pick = &s->image_activation, .names = HF_ACTIVATIONS},
      {.key = "layer_norm_eps", .real = &s->image_norm_eps}};
  err error = foreign_read(root, "config", fields, COUNT(fields), false);
  s->image_mlp_ratio = (double)hidden / (double)s->image_width;
  return error;
}

static int64_t hidden_of(int64_t width, double ratio) {
  return (int64_t)((double)width * ratio + 1e-6);
}

static void write_text(json_writer *w, const settings *s, int64_t vocabulary, int64_t end_of_text) {
  jsonw_object(w, "text_config");
  jsonw_string(w, "model_type", "clip_text_model");
  jsonw_integer(w, "vocab_size", vocabulary);
  jsonw_integer(w, "hidden_size", s->text_width);
  jsonw_integer(w, "intermediate_size", hidden_of(s->text_width, s->text_mlp_ratio));
  jsonw_integer(w, "projection_dim", s->embed_dim);
  jsonw_integer(w, "num_hidden_layers", s->text_layers);
  jsonw_integer(w, "num_attention_heads", s->text_heads);
  jsonw_integer(w, "max_position_embeddings", s->text_length);
  jsonw_string(w, "hidden_act", activation_names[s->text_activation]);
  jsonw_number(w, "layer_norm_eps", s->text_norm_eps);
  jsonw_null(w, "bos_token_id"); /* the tokenizer adds it; the model does not search for it */
  jsonw_integer(w, "eos_token_id", end_of_text);
  jsonw_end(w);
}

void foreign_write_hf(const settings *s, int64_t vocabulary, int64_t end_of_text, strbuf *out) {
  json_writer writer = jsonw_start(out), *w = &writer;
  jsonw_object(w, NULL);
  jsonw_array(w, "architectures");
  jsonw_string(w, NULL, "CLIPModel");
  jsonw_end(w);
  jsonw_string(w, "model_type", "clip");
  jsonw_string(w, "torch_dtype", "float32");
  jsonw_integer(w, "projection_dim", s->embed_dim);
  write_text(w, s, vocabulary, end_of_text);
  jsonw_object(w, "vision_config");
  jsonw_string(w, "model_type", "clip_vision_model");
  jsonw_integer(w, "hidden_size", s->image_width);
  jsonw_integer(w, "intermediate_size", hidden_of(s->image_width, s->image_mlp_ratio));
  jsonw_integer(w, "projection_dim", s->embed_dim);
  jsonw_integer(w, "num_hidden_layers", s->image_layers);
  jsonw_integer(w, "num_attention_heads", s->image_heads);
  jsonw_integer(w, "num_channels", 3);
  jsonw_integer(w, "image_size", s->image_size);
  jsonw_integer(w, "patch_size", s->image_patch);
  jsonw_string(w, "hidden_act", activation_names[s->image_activation]);
  jsonw_number(w, "layer_norm_eps", s->image_norm_eps);
  jsonw_end(w);
  jsonw_end(w);
  strbuf_append_char(out, '\n');
}

void foreign_write_hf_preprocessor(const settings *s, strbuf *out) {
  json_writer writer = jsonw_start(out), *w = &writer;
  jsonw_object(w, NULL);
  jsonw_string(w, "image_processor_type", "CLIPImageProcessor");
  jsonw_bool(w, "do_resize", true);
  int64_t side = s->image_resize_to ? s->image_resize_to : s->image_size;
  jsonw_object(w, "size");
  if (s->image_resize_mode == RESIZE_SQUASH) {
    jsonw_integer(w, "height", side);
    jsonw_integer(w, "width", side);
  } else {
    jsonw_integer(w, "shortest_edge", side);
  }
  jsonw_end(w);
  jsonw_integer(w, "resample", s->image_interpolation == INTERPOLATION_BILINEAR ? 2 : 3);
  jsonw_bool(w, "do_center_crop", true);
  jsonw_object(w, "crop_size");
  jsonw_integer(w, "height", s->image_size);
  jsonw_integer(w, "width", s->image_size);
  jsonw_end(w);
  jsonw_bool(w, "do_rescale", true);
  jsonw_bool(w, "do_normalize", true);
  foreign_write_normalization(w, "image_mean", "image_std", s);
  jsonw_end(w);
  strbuf_append_char(out, '\n');
}
