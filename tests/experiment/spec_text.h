/* Experiments written in a test, and what is said of them. */
#ifndef TESTS_EXPERIMENT_SPEC_TEXT_H
#define TESTS_EXPERIMENT_SPEC_TEXT_H

#include "support/test.h"

#include "experiment/spec.h"

/* Settings that settings_check asks for, so that a test shows only what it is about. */
#define SETTINGS                                                                                   \
  "settings: {text.vocabulary: vocab.txt, data.train: shard.tar, samples: 1000, "                  \
  "learning_rate: 1e-3}\n"

static inline err parse(const char *text, const char *profile, spec_experiment **e) {
  spec_options options = {.profile = profile};
  return spec_parse("test.yaml", text, strlen(text), &options, e);
}

static inline spec_experiment *expand(const char *text) {
  spec_experiment *e = NULL;
  assert_ok(parse(text, NULL, &e));
  return e;
}

/* The whole message, so that a change of it is seen. */
static inline void assert_message(const char *text, const char *wanted) {
  spec_experiment *e = NULL;
  err error = parse(text, NULL, &e);
  if (!error) fail_msg("expected: %s", wanted);
  assert_string_equal(err_message(error), wanted);
  err_free(error);
}

#define assert_refused(text, message)                                                              \
  do {                                                                                             \
    spec_experiment *refused = NULL;                                                               \
    assert_fails_with(parse(text, NULL, &refused), message);                                       \
  } while (0)

#endif
