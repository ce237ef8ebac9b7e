/* Settings from YAML, for the tests of settings. */
#ifndef FLIP_TESTS_CONFIG_APPLY_H
#define FLIP_TESTS_CONFIG_APPLY_H

#include <string.h>

#include "config/settings.h"
#include "support/test.h"

static inline void apply(settings *s, const char *text) {
  yml_document *document;
  yml_problems problems = {0};
  assert_ok(yml_parse("run.yaml", text, strlen(text), &document));
  settings_apply(s, yml_root(document), NULL, &problems);
  assert_ok(yml_problems_take(&problems));
  yml_free(document);
}

#endif
