/* The RDF metadata of an SVG file: title, description, keywords, creator. */
#ifndef FLIP_MAKE_RDF_H
#define FLIP_MAKE_RDF_H

#include <stddef.h>

#include "base/err.h"

/* All cleaned (caption.h); NULL if absent. */
typedef struct {
  char *title, *description, *creator;
  char **keywords;
  size_t keyword_count;
} rdf_facts;

/* Reads the first cc:Work of a file and stops after it. For damaged XML, returns what precedes the
 * damage. */
err rdf_read(const char *path, rdf_facts *facts) ERR_MUST_CHECK;
err rdf_add_keyword(rdf_facts *facts, const char *keyword) ERR_MUST_CHECK;
void rdf_free(rdf_facts *facts);

#endif
