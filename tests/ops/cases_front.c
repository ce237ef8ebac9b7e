/* The towers' front doors and ends: patches, tokens, words, pooling, unit length. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "ops/cases.h"
#include "ops/pair.h"
#include "support/ops_reference.h"

static void check_patches(int64_t size, int64_t patch, int64_t keep, const int32_t *lists) {
  enum { BATCH = 3 };
  int64_t length = 3 * patch * patch;
  pair images = pair_bytes(BATCH * size * size * 3), index = pair_integers(BATCH * keep, lists);
  pair patches = pair_poison(BATCH * keep * length, false);
  ops_patches r = {.batch = BATCH,
                   .size = size,
                   .patch = patch,
                   .keep = keep,
                   .mean = {0.48f, 0.45f, 0.40f},
                   .deviation = {0.26f, 0.27f, 0.28f}},
              t = r;
  r.images = images.reference, r.index = index.reference, r.patches = patches.reference;
  t.images = images.tested, t.index = index.tested, t.patches = patches.tested;
  RUN(patches, &r, &t);
  pair_check(&patches, pair_bound(), "patches");
  pair_free(&images), pair_free(&index), pair_free(&patches);
}

static const int32_t kept_lists[] = {0, 2, 5, 8, 1, ~3, 4, 7, ~0, 6, 7, 8}; /* of 3 x 3 patches */

void patches_agree(void **state) {
  (void)state;
  check_patches(12, 4, 4, kept_lists);
  check_patches(24, 8, 4, kept_lists);
  check_patches(48, 16, 4, kept_lists);
  check_patches(42, 14, 4, kept_lists);
  check_patches(9, 9, 1, (const int32_t[]){0, ~0, 0});
}

static void check_predicted_pixels(int64_t batch, int64_t size, int64_t patch, bool is_in_place) {
  enum { COUNT = 2 };
  static const int32_t first[] = {0, 5, 8, 1, 3, 3}; /* of 3 x 3 patches */
  int64_t length = 3 * patch * patch, rows = batch * COUNT;
  int32_t *lists = calloc((size_t)rows, sizeof *lists);
  for (int64_t i = 0; i < rows; i++) lists[i] = first[i % 6];
  pair images = pair_bytes(batch * size * size * 3), index = pair_integers(rows, lists);
  pair predictions = pair_random(rows * length, false, 1);
  pair to = is_in_place ? predictions : pair_poison(rows * length, false);
  pair row_errors = pair_poison(rows, true), total = pair_poison(1, true);
  ops_pixel_error r = {.batch = batch,
                       .size = size,
                       .patch = patch,
                       .count = COUNT,
                       .mean = {0.48f, 0.45f, 0.40f},
                       .deviation = {0.26f, 0.27f, 0.28f},
                       .scale = 0.37},
                  t = r;
  r.images = images.reference, r.index = index.reference, r.predictions = predictions.reference;
  t.images = images.tested, t.index = index.tested, t.predictions = predictions.tested;
  r.row_errors = row_errors.reference, r.error = total.reference, r.dpredictions = to.reference;
  t.row_errors = row_errors.tested, t.error = total.tested, t.dpredictions = to.tested;
  RUN(pixel_error, &r, &t);
  pair_check(&to, pair_bound(), "gradient of predicted pixels");
  /* sums of a patch's pixels in fp32, whatever the type of the predictions */
  pair_check(&row_errors, 2e-6, "errors of patches");
  pair_check(&total, 2e-6, "error of all patches");
  pair *all[] = {&images, &index, &predictions, &row_errors, &total, &to};
  for (size_t i = 0; i < 6 - (size_t)is_in_place; i++) pair_free(all[i]);
  free(lists);
}

void predicted_pixels_and_their_gradient_agree(void **state) {
  (void)state;
  check_predicted_pixels(3, 9, 3, false);
  check_predicted_pixels(3, 24, 8, true);
  check_predicted_pixels(3, 42, 14, false);
  check_predicted_pixels(520, 6, 2, false); /* more patches than a block adds at once */
}

static void check_tokens(int64_t width, bool has_class, bool has_position) {
  enum { BATCH = 3, KEEP = 4 };
  int64_t rows = BATCH * (KEEP + has_class);
  pair index = pair_integers(BATCH * KEEP, kept_lists);
  pair x = pair_random(BATCH * KEEP * width, false, 1), cls = pair_random(width, true, 1);
  pair positions = pair_random(10 * width, true, 1), tokens = pair_poison(rows * width, false);
  pair dtokens = pair_random(rows * width, false, 1), dcls = pair_random(width, true, 1);
  pair dpatches = pair_poison(BATCH * KEEP * width, false);
  pair dpositions = pair_random(10 * width, true, 1);
  ops_assemble r = {.batch = BATCH,
                    .keep = KEEP,
                    .width = width,
                    .class_has_position = has_position},
               t = r;
  r.patches = x.reference, r.index = index.reference, r.positions = positions.reference;
  t.patches = x.tested, t.index = index.tested, t.positions = positions.tested;
  r.tokens = tokens.reference, r.dtokens = dtokens.reference, r.dpatches = dpatches.reference;
  t.tokens = tokens.tested, t.dtokens = dtokens.tested, t.dpatches = dpatches.tested;
  if (has_class) {
    r.class_token = cls.reference, r.dclass_token = dcls.reference;
    t.class_token = cls.tested, t.dclass_token = dcls.tested;
  }
  r.dpositions = dpositions.reference, t.dpositions = dpositions.tested;
  RUN(assemble, &r, &t);
  RUN(assemble_gradient, &r, &t);
  pair_check(&tokens, pair_bound(), "tokens");
  pair_check(&dpatches, pair_bound(), "patch gradient");
  pair_check(&dcls, pair_bound(), "class token gradient");
  pair_check(&dpositions, pair_bound(), "position gradient");
  pair *all[] = {&index, &x, &cls, &positions, &tokens, &dtokens, &dcls, &dpatches, &dpositions};
  for (size_t i = 0; i < 9; i++) pair_free(all[i]);
}

void tokens_and_positions_agree(void **state) {
  (void)state;
  check_tokens(21, true, false);
  check_tokens(21, true, true);
  check_tokens(21, false, false);
  check_tokens(264, true, true);
}

/* Every second token is word 0, as padding is. has_places: of positions twice as many. */
static void check_embedding(int64_t batch, int64_t length, int64_t width, int64_t words,
                            bool has_places) {
  const int64_t rows = has_places ? 2 * length : length;
  int32_t *kept = calloc((size_t)(batch * length), sizeof *kept);
  int32_t *list = calloc((size_t)(batch * length), sizeof *list);
  for (int64_t i = 0; i < batch * length; i++)
    list[i] = i % 2 ? 0 : (int32_t)((i * i + 3 * i + 1) % words);
  for (int64_t i = 0; i < batch * length; i++) /* ascending within a text */
    kept[i] = (int32_t)(i % length * 2 + (i * i + i / length) % 2);
  pair places = pair_integers(batch * length, kept);
  pair ids = pair_integers(batch * length, list), table = pair_random(words * width, true, 1);
  pair positions = pair_random(rows * width, true, 1);
  pair tokens = pair_poison(batch * length * width, false);
  pair dtokens = pair_random(batch * length * width, false, 1);
  pair dtable = pair_random(words * width, true, 1),
       dpositions = pair_random(rows * width, true, 1);
  ops_embed r = {.batch = batch, .length = length, .width = width, .vocabulary = words}, t = r;
  r.ids = ids.reference, r.table = table.reference, r.positions = positions.reference;
  t.ids = ids.tested, t.table = table.tested, t.positions = positions.tested;
  r.tokens = tokens.reference, r.dtokens = dtokens.reference, r.dtable = dtable.reference;
  t.tokens = tokens.tested, t.dtokens = dtokens.tested, t.dtable = dtable.tested;
  r.dpositions = dpositions.reference, t.dpositions = dpositions.tested;
  if (has_places) r.places = places.reference, t.places = places.tested;
  RUN(embed, &r, &t);
  RUN(embed_gradient, &r, &t);
  pair_check(&tokens, pair_bound(), "word embedding");
  pair_check(&dtable, 2e-6, "word gradient");
  pair_check(&dpositions, 2e-6, "position gradient");
  pair *all[] = {&ids, &places, &table, &positions, &tokens, &dtokens, &dtable, &dpositions};
  for (size_t i = 0; i < 8; i++) pair_free(all[i]);
  free(list);
  free(kept);
}

void word_embedding_and_its_gradient_agree(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    check_embedding(5, 7, 19, 6, i);     /* few words: most rows collide */
    check_embedding(331, 7, 40, 700, i); /* more rows than one pass of a sort takes */
    check_embedding(1, 1, 8, 1, i);
  }
}

static void check_pooling(int64_t width) {
  enum { BATCH = 6, TOKENS = 9 };
  const int32_t chosen[BATCH] = {0, 8, 3, 5, 1, 7};
  pair x = pair_random(BATCH * TOKENS * width, false, 1), index = pair_integers(BATCH, chosen);
  for (int mode = 0; mode < 3; mode++) {
    pair pooled = pair_poison(BATCH * width, false), dpooled = pair_random(BATCH * width, false, 1);
    pair dx = pair_poison(BATCH * TOKENS * width, false);
    ops_pool r = {.batch = BATCH,
                  .tokens = TOKENS,
                  .width = width,
                  .pooling = mode == 0 ? OPS_POOL_MEAN : OPS_POOL_INDEX},
             t = r;
    if (mode == 2) r.index = index.reference, t.index = index.tested;
    r.x = x.reference, r.pooled = pooled.reference, r.dpooled = dpooled.reference;
    t.x = x.tested, t.pooled = pooled.tested, t.dpooled = dpooled.tested;
    r.dx = dx.reference, t.dx = dx.tested;
    RUN(pool, &r, &t);
    RUN(pool_gradient, &r, &t);
    pair_check(&pooled, pair_bound(), "pooling");
    pair_check(&dx, pair_bound(), "pooling gradient");
    pair_free(&pooled), pair_free(&dpooled), pair_free(&dx);
  }
  pair_free(&x), pair_free(&index);
}

void pooling_and_its_gradient_agree(void **state) {
  (void)state;
  check_pooling(27);
  check_pooling(776);
}

static void check_normalisation(int64_t rows, int64_t width) {
  pair x = pair_random(rows * width, false, 1);
  pair y = pair_poison(rows * width, false), norms = pair_poison(rows, true);
  pair dy = pair_random(rows * width, false, 1), dx = pair_poison(rows * width, false);
  ops_normalize r = {.rows = rows, .width = width, .eps = 1e-8}, t = r;
  r.x = x.reference, r.y = y.reference, r.norms = norms.reference, r.dy = dy.reference;
  t.x = x.tested, t.y = y.tested, t.norms = norms.tested, t.dy = dy.tested;
  r.dx = dx.reference, t.dx = dx.tested;
  RUN(normalize, &r, &t);
  RUN(normalize_gradient, &r, &t);
  pair_check(&y, pair_bound(), "normalisation");
  pair_check(&dx, 2 * pair_bound(), "normalisation gradient");
  pair *all[] = {&x, &y, &norms, &dy, &dx};
  for (size_t i = 0; i < 5; i++) pair_free(all[i]);
}

void normalisation_and_its_gradient_agree(void **state) {
  (void)state;
  check_normalisation(6, 27);
  check_normalisation(6, 520);
  check_normalisation(1, 8);
  check_normalisation(301, 24); /* more rows than a block has */
}
