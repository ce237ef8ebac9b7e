/* Cells made by hand for the tests of report/measure.h, whose outcomes are all in memory. */
#ifndef FLIP_TESTS_REPORT_CELLS_H
#define FLIP_TESTS_REPORT_CELLS_H

#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/measure.h"

enum { CELLS = 4, MOST = 8, SHIFTED_ITEMS = 10000, MAIN_ITEMS = 50000 };

static spec_cell specs[CELLS];
static spec_experiment experiment;
static data_cell cells[CELLS];
static data_evaluation evaluations[CELLS][MOST];
static store_outcome outcomes[CELLS][MOST];
static data_row rows[2];
static size_t row_cells[2][2];
static report_data d;

/* Rows of the cells 0 and 1, and of 2 and 3: two seeds each, finished, on the same inputs. */
static inline int make_cells(void **state) {
  (void)state;
  memset(specs, 0, sizeof specs);
  memset(cells, 0, sizeof cells);
  for (size_t i = 0; i < CELLS; i++) {
    specs[i] = (spec_cell){.parent = SPEC_NO_PARENT};
    specs[i].settings.seed = (int64_t)i % 2;
    cells[i] = (data_cell){.cell = &specs[i],
                           .run_id = (int64_t)i + 1,
                           .is_finished = true,
                           .tuned = -1,
                           .fine_tuned = -1,
                           .measured = -1,
                           .evaluations = evaluations[i],
                           .outcomes = outcomes[i]};
    row_cells[i / 2][i % 2] = i;
  }
  for (size_t r = 0; r < 2; r++) rows[r] = (data_row){.cells = row_cells[r], .count = 2};
  experiment = (spec_experiment){.cells = specs, .cell_count = CELLS};
  d = (report_data){.e = &experiment, .cells = cells, .rows = rows, .row_count = 2, .baseline = 0};
  return 0;
}

static inline int free_hits(void **state) {
  (void)state;
  for (size_t i = 0; i < CELLS; i++)
    for (size_t k = 0; k < cells[i].outcome_count; k++) {
      free(outcomes[i][k].hits);
      free(outcomes[i][k].labels);
    }
  return 0;
}

/* An evaluation without outcomes. */
static inline void add(size_t cell, const char *set, const char *task, const char *metric,
                       int64_t step, double value) {
  size_t at = cells[cell].evaluation_count++;
  assert_true(at < MOST);
  cells[cell].outcome_count = at + 1;
  evaluations[cell][at] = (data_evaluation){.set = (char *)set,
                                            .task = (char *)task,
                                            .metric = (char *)metric,
                                            .step = step,
                                            .samples = (double)step,
                                            .seconds = (double)step,
                                            .value = value};
  outcomes[cell][at] = (store_outcome){
      .set = (char *)set, .metric = (char *)metric, .task = (char *)task, .step = step};
}

/* The newest evaluation's outcomes: its first images are the hits. */
static inline void add_hits(size_t cell, size_t items, size_t classes) {
  store_outcome *o = &outcomes[cell][cells[cell].outcome_count - 1];
  double value = evaluations[cell][cells[cell].evaluation_count - 1].value;
  o->items = items;
  o->hits = mem_zeroed((items + 7) / 8, 1);
  o->labels = classes ? mem_zeroed(items, sizeof *o->labels) : NULL;
  assert_non_null(o->hits);
  for (size_t i = 0; i < items; i++) {
    if ((double)i < value * (double)items) o->hits[i / 8] |= (uint8_t)(1u << i % 8);
    if (classes) o->labels[i] = (uint16_t)(i * classes / items);
  }
}

static inline void assert_near(double value, double wanted, double tolerance) {
  if (!(fabs(value - wanted) <= tolerance)) fail_msg("%.10g is not %.10g", value, wanted);
}

/* A number of the cell's run. */
enum { NUMBERS = 6 };
static store_fact facts[CELLS][NUMBERS];

static inline void give(size_t cell, const char *name, double value) {
  size_t at = cells[cell].number_count++;
  assert_true(at < NUMBERS);
  facts[cell][at] = (store_fact){(char *)name, {.kind = STORE_REAL, .real = value}};
  cells[cell].numbers = facts[cell];
}

#define ON_CELLS(test) cmocka_unit_test_setup_teardown(test, make_cells, free_hits)

#endif
