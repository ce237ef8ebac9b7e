/* Checks a value against a JSON Schema: the keywords that flipbench's schema uses (type, enum,
 * anyOf, $ref inside the document, properties, additionalProperties, items, minItems, minimum,
 * maximum, pattern). Another keyword fails the check, so that none is skipped. */
#ifndef TEST_JSON_SCHEMA_H
#define TEST_JSON_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/text.h"

/* False when `value` does not satisfy `schema`; `why` gets the place and the reason. */
bool json_schema_holds(const json_t *root, const json_t *schema, const json_t *value,
                       const char *place, strbuf *why);

#endif
