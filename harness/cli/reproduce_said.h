/* What `flipbench reproduce` says about a record besides its numbers. Internal to cli/. */
#ifndef FLIPBENCH_CLI_REPRODUCE_SAID_H
#define FLIPBENCH_CLI_REPRODUCE_SAID_H

#include "report/agreement.h"
#include "exchange/localise.h"
#include "store/store.h"

/* Programs and machines of an experiment's runs, as texts. */
typedef struct {
  strbuf programs, machines;
} said_origin;
err said_read_origin(store *s, const char *experiment, said_origin *o) ERR_MUST_CHECK;
void said_free_origin(said_origin *o);

/* "program: the same commit, 0123456789" and the like, a sentence a line. */
void said_compare_origins(const said_origin *first, const said_origin *again, strbuf *out);
/* Whether the experiment is reproduced, and on what. */
void said_verdict(const agreement_count *n, const localise_match *data, bool has_all_cells,
                  const said_origin *first, const said_origin *again, strbuf *out);

#endif
