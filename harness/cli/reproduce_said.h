/* The text output of `flipbench reproduce` about a record, apart from its numbers. Internal to
 * cli/. */
#ifndef FLIPBENCH_CLI_REPRODUCE_SAID_H
#define FLIPBENCH_CLI_REPRODUCE_SAID_H

#include "report/agreement.h"
#include "exchange/localise.h"
#include "store/store.h"

/* Programs and machines of an experiment's runs, as text. */
typedef struct {
  strbuf programs, machines;
} said_origin;
err said_read_origin(store *s, const char *experiment, said_origin *o) ERR_MUST_CHECK;
void said_free_origin(said_origin *o);

/* "program: the same commit, 0123456789" and the like, one sentence per line. */
void said_compare_origins(const said_origin *first, const said_origin *again, strbuf *out);
/* What the verdict is about. */
typedef struct {
  const agreement_count *numbers;
  const localise_match *data;
  bool has_all_cells;         /* here */
  const report_table *record; /* rows without a result there are not reproduced by any number */
  const said_origin *first, *again;
} said_basis;
/* True when numbers could be judged, all of them agree, and every cell finished. */
bool said_is_reproduced(const said_basis *b);
/* The verdict: is the experiment reproduced, and on what? */
void said_verdict(const said_basis *b, strbuf *out);

#endif
