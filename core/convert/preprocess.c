/* How other programs prepare images: transformers' preprocessor_config.json and open_clip's
 * preprocess_cfg, parsed strictly. What is not understood is an error: a loaded model must see the
 * same pixels as in the original program. */
#include <math.h>
#include <string.h>

#include "convert/foreign.h"

#define COUNT(fields) (sizeof(fields) / sizeof *(fields))

static err read_side(const json_t *value, const char *key, int64_t *side) {
  if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 8192)
    return err_new(ERR_UNSUPPORTED, "%s: expected a whole number from 1 to 8192", key);
  *side = json_integer_value(value);
  return NULL;
}

/* N, {"shortest_edge": N} or {"height": N, "width": N}. is_square: on input whether a bare N means
 * a square; on output what was given. */
static err read_size(const json_t *value, const char *key, bool *is_square, int64_t *side) {
  const json_t *edge = json_object_get(value, "shortest_edge");
  const json_t *height = json_object_get(value, "height"), *width = json_object_get(value, "width");
  if (!value || json_is_null(value)) return NULL;
  if (json_is_integer(value)) return read_side(value, key, side);
  if (edge && json_object_size(value) == 1) {
    *is_square = false;
    return read_side(edge, key, side);
  }
  *is_square = true;
  if (height && width && json_object_size(value) == 2 && json_equal(height, width))
    return read_side(height, key, side);
  return err_new(
      ERR_UNSUPPORTED,
      "%s: only N, {\"shortest_edge\": N} and {\"height\": N, \"width\": N} are supported", key);
}

/* Pillow's numbers of filters. */
static err read_resample(const json_t *value, settings *s) {
  if (!value || json_is_null(value)) return NULL;
  int64_t number = json_is_integer(value) ? json_integer_value(value) : -1;
  if (number != 2 && number != 3)
    return err_new(ERR_UNSUPPORTED, "resample: only 2 (bilinear) and 3 (bicubic) are supported");
  s->image_interpolation = number == 2 ? INTERPOLATION_BILINEAR : INTERPOLATION_BICUBIC;
  return NULL;
}

/* true, false, or the default. */
static err read_switch(const json_t *root, const char *key, bool *value) {
  const json_t *found = json_object_get(root, key);
  if (!found || json_is_null(found)) return NULL;
  if (!json_is_boolean(found)) return err_new(ERR_INPUT, "%s: expected true or false", key);
  *value = json_is_true(found);
  return NULL;
}

/* Optional keys, with the only value that we support. */
static err check_keys(const json_t *root) {
  int type = 0;
  static const char types[] =
      "CLIPImageProcessor=CLIPImageProcessorFast=CLIPImageProcessorPil=CLIPFeatureExtractor|"
      "ViTImageProcessor=ViTImageProcessorFast=ViTImageProcessorPil=ViTFeatureExtractor";
  const json_field fields[] = {{.key = "do_resize", .only = "true"},
                               {.key = "size"}, /* these are parsed separately */
                               {.key = "resample"},
                               {.key = "do_center_crop"},
                               {.key = "crop_size"},
                               {.key = "do_normalize"},
                               {.key = "image_mean"},
                               {.key = "image_std"},
                               {.key = "do_rescale", .only = "true"},
                               {.key = "rescale_factor", .only = "0.00392156862745098"},
                               {.key = "do_convert_rgb"}, /* ours are RGB in any case */
                               {.key = "do_pad", .only = "false"},
                               {.key = "pad_size", .only = "null"},
                               {.key = "antialias", .only = "true"},
                               {.key = "default_to_square"},
                               {.key = "use_square_size", .only = "false"},
                               {.key = "image_processor_type", .pick = &type, .names = types},
                               {.key = "feature_extractor_type", .pick = &type, .names = types},
                               {.key = "processor_class"},
                               {.key = "data_format"}, /* of arrays in Python */
                               {.key = "input_data_format"},
                               {.key = "return_tensors"},
                               {.key = "device"},
                               {.key = "disable_grouping"},
                               {.key = "_valid_processor_keys"},
                               {.key = "_processor_class"}};
  return foreign_read(root, "preprocessor_config", fields, COUNT(fields), true);
}

/* The sizes must result in the image that the model takes. */
static err check_sizes(const settings *s, bool is_square, int64_t side, bool does_crop,
                       int64_t crop) {
  if (!does_crop && !is_square)
    return err_new(
        ERR_UNSUPPORTED,
        "do_center_crop: false leaves images that are not square, which the model does not accept");
  int64_t result = does_crop ? crop : side;
  if (result != s->image_size)
    return err_new(ERR_INPUT, "%s: %ld, but the model takes images of %ld",
                   does_crop ? "crop_size" : "size", (long)result, (long)s->image_size);
  if (side < result)
    return err_new(ERR_UNSUPPORTED,
                   "size: %ld is smaller than crop_size %ld: images would be padded", (long)side,
                   (long)result);
  return NULL;
}

err foreign_read_preprocessor(const json_t *whole, bool is_vit, settings *s) {
  const json_t *root = json_object_get(whole, "image_processor"); /* of a processor_config.json */
  bool is_square = is_vit, crop_is_square = true, does_crop = !is_vit, does_normalize = true;
  int64_t side = 224, crop = 224;
  if (!json_is_object(root)) root = whole;
  foreign_default_preprocessor(is_vit, s);
  err error = check_keys(root);
  if (!error) error = read_switch(root, "default_to_square", &is_square);
  if (!error) error = read_size(json_object_get(root, "size"), "size", &is_square, &side);
  if (!error)
    error = read_size(json_object_get(root, "crop_size"), "crop_size", &crop_is_square, &crop);
  if (!error) error = read_switch(root, "do_center_crop", &does_crop);
  if (!error) error = read_switch(root, "do_normalize", &does_normalize);
  if (!error) error = read_resample(json_object_get(root, "resample"), s);
  if (!error) error = check_sizes(s, is_square, side, does_crop, crop);
  if (error) return error;
  s->image_resize_mode = is_square ? RESIZE_SQUASH : RESIZE_SHORTEST;
  s->image_resize_to = side == s->image_size ? 0 : side;
  if (!does_normalize) {
    s->image_normalization = NORMALIZATION_NONE;
    return NULL;
  }
  return foreign_read_normalization(root, "image_mean", "image_std", s);
}

/* Defaults of CLIPImageProcessor and ViTImageProcessor. */
void foreign_default_preprocessor(bool is_vit, settings *s) {
  s->image_resize_mode = is_vit ? RESIZE_SQUASH : RESIZE_SHORTEST;
  s->image_resize_to = 0;
  s->image_interpolation = is_vit ? INTERPOLATION_BILINEAR : INTERPOLATION_BICUBIC;
  s->image_crop = CROP_FLOOR;
}

/* open_clip takes the size from the model, and ignores unknown keys. */
err foreign_read_preprocess_cfg(const json_t *root, settings *s) {
  s->image_resize_mode = RESIZE_SHORTEST;
  s->image_interpolation = INTERPOLATION_BICUBIC;
  s->image_crop = CROP_ROUND;
  s->image_resize_to = s->image_fill = 0;
  if (!json_is_object(root)) return NULL;
  const json_t *fill = json_object_get(root, "fill_color");
  const json_field fields[] = {
      {.key = "mode", .only = "\"RGB\""},
      {.key = "resize_mode", .pick = &s->image_resize_mode, .names = "shortest|squash|longest"},
      {.key = "interpolation",
       .pick = &s->image_interpolation,
       .names = "bicubic=random|bilinear"}};
  err error = foreign_read(root, "preprocess_cfg", fields, COUNT(fields), false);
  if (error) return error;
  if (fill && !json_is_null(fill)) {
    int64_t grey = json_is_integer(fill) ? json_integer_value(fill) : -1;
    if (grey < 0 || grey > 255)
      return err_new(ERR_UNSUPPORTED,
                     "preprocess_cfg.fill_color: expected one number from 0 to 255");
    s->image_fill = grey;
  }
  return foreign_read_normalization(root, "mean", "std", s);
}
