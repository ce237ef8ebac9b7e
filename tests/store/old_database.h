/* A database as an earlier version of flipbench wrote it (tests/store/schema): four runs of the
 * three cells of experiment "small", one of which failed and was run again. */
#ifndef TESTS_STORE_OLD_DATABASE_H
#define TESTS_STORE_OLD_DATABASE_H

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "base/fs.h"
#include "support/test.h"

static inline void make_old_database(int version, const char *path) {
  char name[512], *sql, *problem = NULL;
  size_t length;
  sqlite3 *database;
  snprintf(name, sizeof name, "%s/tests/store/schema/version_%d.sql", FLIP_SOURCE_DIR, version);
  assert_ok(fs_read(name, &sql, &length));
  assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
  if (sqlite3_exec(database, sql, NULL, NULL, &problem) != SQLITE_OK) fail_msg("%s", problem);
  sqlite3_close(database);
  free(sql);
}

#endif
