/* What makes two runs the same: their settings, as far as they can change a result.
 *
 * Only settings that differ from their defaults count. So a version of flip that knows a new
 * setting still knows every run made before it, and nothing finished is run again. The price is
 * that a default must not change under recorded runs: whoever changes one raises IDENTITY_VERSION
 * (tests/config holds the list of defaults, and fails when one is another). */
#include "config/settings.h"

#include <string.h>

enum { IDENTITY_VERSION = 1 };

void settings_fingerprint(const settings *s, char digest[HASH_SIZE]) {
  size_t count;
  settings defaults;
  const setting *table = settings_table(&count);
  strbuf canonical = {0};
  err no_memory = settings_init(&defaults);
  strbuf_format(&canonical, "identity: %d\n", IDENTITY_VERSION);
  for (size_t i = 0; i < count && !no_memory; i++) {
    strbuf value = {0}, initial = {0};
    setting_format(&table[i], s, &value);
    setting_format(&table[i], &defaults, &initial);
    if (table[i].is_identity && strcmp(strbuf_string(&value), strbuf_string(&initial)) != 0)
      strbuf_format(&canonical, "%s: %s\n", table[i].key, strbuf_string(&value));
    strbuf_free(&value);
    strbuf_free(&initial);
  }
  hash_bytes(strbuf_string(&canonical), canonical.length, digest);
  strbuf_free(&canonical);
  if (no_memory)
    err_free(no_memory);
  else
    settings_free(&defaults);
}
