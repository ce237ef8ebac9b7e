#include "store/sql.h"

#include <libgen.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

enum { BUSY_TIMEOUT_MS = 10000, MOST_STATEMENTS = 256 };

struct store {
  sqlite3 *database;
  char *path;
  struct {
    const char *sql;
    sqlite3_stmt *statement;
  } kept[MOST_STATEMENTS];
  size_t kept_count;
  int depth; /* of transactions within one another */
  int patience_ms;
  bool is_copy; /* `path` is where it was read */
};

/* "PATH-wal", "PATH-shm" */
static bool find_beside(const char *path, const char *suffix, struct stat *status,
                        bool *is_writable) {
  strbuf name = {0};
  strbuf_format(&name, "%s%s", path, suffix);
  bool is_there = !name.is_broken && stat(name.data, status) == 0;
  *is_writable = is_there && access(name.data, W_OK) == 0;
  strbuf_free(&name);
  return is_there;
}

/* SQLite's own files next to the database, made by a user who did not let others write them. */
static void name_strangers(const char *path, strbuf *out) {
  static const char *const suffixes[] = {"-wal", "-shm"};
  struct stat status;
  for (size_t i = 0; i < 2; i++) {
    bool is_open;
    if (!find_beside(path, suffixes[i], &status, &is_open) || is_open) continue;
    const struct passwd *owner = getpwuid(status.st_uid);
    strbuf_format(out, "; %s%s belongs to ", path, suffixes[i]);
    if (owner)
      strbuf_append(out, owner->pw_name);
    else
      strbuf_format(out, "user %ld", (long)status.st_uid);
    strbuf_append(out, ", who can make it writable");
  }
}

static err cannot_write(const char *path, const char *why) {
  strbuf strangers = {0};
  name_strangers(path, &strangers);
  err error = err_new(ERR_IO,
                      "%s: cannot be written (%s); check the folder's permissions, or choose "
                      "another place with --db or --results%s",
                      path, why, strbuf_string(&strangers));
  strbuf_free(&strangers);
  return error;
}

/* SQLite's own limit on the whole path, from which it needs 8 bytes for "-journal". */
static bool is_too_long(const char *path) {
  const sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
  char *copy = mem_copy_string(path), *folder = copy ? realpath(dirname(copy), NULL) : NULL;
  size_t length = folder ? strlen(folder) + 1 + strlen(fs_name(path)) : strlen(path);
  free(folder);
  free(copy);
  return vfs && length + 8 > (size_t)vfs->mxPathname;
}

static err sql_error(const store *s, int code) {
  const char *text = s->database ? sqlite3_errmsg(s->database) : sqlite3_errstr(code);
  switch (code & 0xff) {
  case SQLITE_FULL:
    return err_new(ERR_IO,
                   "%s: the disk is full; free some space and run the same command again "
                   "(with --retry for a cell whose trainer failed for it)",
                   s->path);
  case SQLITE_READONLY:
  case SQLITE_CANTOPEN:
  case SQLITE_PERM:
    if (is_too_long(s->path))
      return err_new(ERR_IO,
                     "%s: with its folder, this name is longer than SQLite opens (about 500 "
                     "bytes); choose a shorter one for the database with --db",
                     s->path);
    return cannot_write(s->path, text);
  case SQLITE_BUSY:
    return err_new(ERR_IO, "%s: locked by another process for %d s; try again", s->path,
                   s->patience_ms / 1000);
  case SQLITE_NOTADB:
  case SQLITE_CORRUPT:
    return err_new(ERR_IO, "%s: %s; 'flipbench db rebuild' rebuilds it from the run directories",
                   s->path, text);
  case SQLITE_NOMEM:
    return mem_error(0, s->path);
  case SQLITE_IOERR:
    return err_new(ERR_IO, "%s: %s (is the disk full?)", s->path, text);
  default:
    return err_new(ERR_INTERNAL, "%s: %s", s->path, text);
  }
}

const char *store_path(const store *s) {
  return s->path;
}

void store_close(store *s) {
  if (!s) return;
  for (size_t i = 0; i < s->kept_count; i++) sqlite3_finalize(s->kept[i].statement);
  sqlite3_close(s->database);
  free(s->path);
  free(s);
}

static err find_statement(store *s, const char *sql, sqlite3_stmt **statement) {
  for (size_t i = 0; i < s->kept_count; i++)
    if (s->kept[i].sql == sql) {
      *statement = s->kept[i].statement;
      sqlite3_reset(*statement);
      return NULL;
    }
  if (s->kept_count == MOST_STATEMENTS)
    return err_new(ERR_INTERNAL, "more than %d kinds of SQL statement", MOST_STATEMENTS);
  int code = sqlite3_prepare_v3(s->database, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
  if (code != SQLITE_OK) return sql_error(s, code);
  s->kept[s->kept_count].sql = sql;
  s->kept[s->kept_count++].statement = *statement;
  return NULL;
}

static err bind(store *s, sqlite3_stmt *statement, const char *types, va_list arguments) {
  int code = SQLITE_OK;
  for (int i = 1; types[i - 1] && code == SQLITE_OK; i++) {
    const char *text;
    switch (types[i - 1]) {
    case 'i':
      code = sqlite3_bind_int64(statement, i, va_arg(arguments, int64_t));
      break;
    case 'd':
      code = sqlite3_bind_double(statement, i, va_arg(arguments, double));
      break;
    case 'b': {
      const void *bytes = va_arg(arguments, const void *);
      code = sqlite3_bind_blob64(statement, i, bytes, va_arg(arguments, size_t), SQLITE_TRANSIENT);
      break;
    }
    default:
      text = va_arg(arguments, const char *);
      code = text ? sqlite3_bind_text(statement, i, text, -1, SQLITE_TRANSIENT)
                  : sqlite3_bind_null(statement, i);
    }
  }
  return code == SQLITE_OK ? NULL : sql_error(s, code);
}

static err start_query(store *s, sqlite3_stmt **rows, const char *sql, const char *types,
                       va_list arguments) {
  err error = find_statement(s, sql, rows);
  return error ? error : bind(s, *rows, types, arguments);
}

void store_set_patience(store *s, int seconds) {
  s->patience_ms = seconds > 0 ? seconds * 1000 : BUSY_TIMEOUT_MS;
  sqlite3_busy_timeout(s->database, s->patience_ms);
}

bool store_is_copy(const store *s) {
  return s->is_copy;
}

bool store_is_readonly(store *s) {
  return sqlite3_db_readonly(s->database, "main") == 1;
}

err sql_query(store *s, sqlite3_stmt **rows, const char *sql, const char *types, ...) {
  va_list arguments;
  va_start(arguments, types);
  err error = start_query(s, rows, sql, types, arguments);
  va_end(arguments);
  return error;
}

err sql_next(store *s, sqlite3_stmt *rows, bool *has_row) {
  int code = sqlite3_step(rows);
  *has_row = code == SQLITE_ROW;
  if (code == SQLITE_ROW) return NULL;
  err error = code == SQLITE_DONE ? NULL : sql_error(s, code);
  sqlite3_reset(rows);
  return error;
}

void sql_stop(sqlite3_stmt *rows) {
  sqlite3_reset(rows);
}

/* The first row of a query, if it has one; then the caller stops it. */
static err first_row(store *s, sqlite3_stmt **rows, bool *has_row, const char *sql,
                     const char *types, va_list arguments) {
  *has_row = false;
  err error = start_query(s, rows, sql, types, arguments);
  return error ? error : sql_next(s, *rows, has_row);
}

err sql_run(store *s, const char *sql, const char *types, ...) {
  sqlite3_stmt *rows;
  bool has_row;
  va_list arguments;
  va_start(arguments, types);
  err error = first_row(s, &rows, &has_row, sql, types, arguments);
  va_end(arguments);
  if (!error && has_row) sql_stop(rows);
  return error;
}

err sql_integer(store *s, int64_t otherwise, int64_t *value, const char *sql, const char *types,
                ...) {
  sqlite3_stmt *rows;
  bool has_row;
  va_list arguments;
  va_start(arguments, types);
  err error = first_row(s, &rows, &has_row, sql, types, arguments);
  va_end(arguments);
  *value = otherwise;
  if (!error && has_row) {
    if (sqlite3_column_type(rows, 0) != SQLITE_NULL) *value = sqlite3_column_int64(rows, 0);
    sql_stop(rows);
  }
  return error;
}

err sql_number(store *s, double *value, const char *sql, const char *types, ...) {
  sqlite3_stmt *rows;
  bool has_row;
  va_list arguments;
  va_start(arguments, types);
  err error = first_row(s, &rows, &has_row, sql, types, arguments);
  va_end(arguments);
  *value = NAN;
  if (!error && has_row) {
    *value = sql_real(rows, 0);
    sql_stop(rows);
  }
  return error;
}

err sql_query_once(store *s, sqlite3_stmt **rows, const char *sql) {
  int code = sqlite3_prepare_v2(s->database, sql, -1, rows, NULL);
  return code == SQLITE_OK ? NULL : sql_error(s, code);
}

int64_t sql_last_id(const store *s) {
  return sqlite3_last_insert_rowid(s->database);
}

const char *sql_text(sqlite3_stmt *rows, int column) {
  const char *text = (const char *)sqlite3_column_text(rows, column);
  return text ? text : "";
}

double sql_real(sqlite3_stmt *rows, int column) {
  return sqlite3_column_type(rows, column) == SQLITE_NULL ? NAN
                                                          : sqlite3_column_double(rows, column);
}

err sql_script(store *s, const char *sql) {
  int code = sqlite3_exec(s->database, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? NULL : sql_error(s, code);
}

err sql_begin(store *s) {
  err error = s->depth ? NULL : sql_script(s, "BEGIN IMMEDIATE");
  if (!error) s->depth++;
  return error;
}

err sql_begin_soon(store *s, bool *is_busy) {
  enum { SOON_MS = 100 };
  *is_busy = false;
  if (s->depth) return sql_begin(s);
  sqlite3_busy_timeout(s->database, SOON_MS);
  int code = sqlite3_exec(s->database, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  sqlite3_busy_timeout(s->database, s->patience_ms);
  if (code == SQLITE_OK) s->depth++;
  *is_busy = (code & 0xff) == SQLITE_BUSY;
  return code == SQLITE_OK || *is_busy ? NULL : sql_error(s, code);
}

err sql_end(store *s, err error) {
  if (s->depth && --s->depth) return error; /* store_export begins by itself, to read alone */
  if (!error) error = sql_script(s, "COMMIT");
  if (error && !sqlite3_get_autocommit(s->database)) err_free(sql_script(s, "ROLLBACK"));
  return error;
}

/* Rows survive a crash of the program immediately, and a crash of the machine after the next
 * checkpoint of the log; rows lost by the latter are read again from events.jsonl. */
static const char pragmas[] = "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;"
                              "PRAGMA temp_store = MEMORY;";

/* Switching to a write-ahead log needs exclusive access. Processes that create a database at the
 * same time would deadlock waiting for it: so each releases its lock and retries after a different
 * delay. */
static err use_write_ahead_log(store *s) {
  enum { PAUSE_US = 2000 };
  int code = SQLITE_BUSY;
  sqlite3_busy_timeout(s->database, 0);
  for (int64_t waited = 0; waited < BUSY_TIMEOUT_MS * INT64_C(1000);) {
    code = sqlite3_exec(s->database, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if ((code & 0xFF) != SQLITE_BUSY) break;
    useconds_t pause = PAUSE_US + (useconds_t)(getpid() % 16) * (PAUSE_US / 4);
    usleep(pause);
    waited += pause;
  }
  sqlite3_busy_timeout(s->database, BUSY_TIMEOUT_MS);
  return code == SQLITE_OK ? NULL : sql_error(s, code);
}

/* A migrated database usually lies in its results folder: the run folders next to it take
 * precedence over stored rows. A database elsewhere is updated when a sweep reads its runs. */
static err read_folders_anew(store *s) {
  char *copy = mem_copy_string(s->path);
  if (!copy) return mem_error(0, s->path);
  const char *results = dirname(copy);
  int64_t run_id = 0, ingested;
  err error = NULL;
  for (;;) {
    sqlite3_stmt *rows;
    bool has_row;
    TRY(sql_query(s, &rows, "SELECT id, directory FROM run WHERE id > ? ORDER BY id LIMIT 1", "i",
                  run_id));
    TRY(sql_next(s, rows, &has_row));
    if (!has_row) break;
    run_id = sqlite3_column_int64(rows, 0);
    char *directory = mem_copy_string(sql_text(rows, 1));
    sql_stop(rows);
    error = directory ? store_ingest(s, results, directory, &ingested) : mem_error(0, s->path);
    free(directory);
    if (error) break;
  }
cleanup:
  free(copy);
  return error;
}

/* May this user write the database, and make SQLite's files next to it? */
static bool is_writable(const char *path) {
  char *real = realpath(path, NULL); /* the files are where a link leads */
  bool is = real && access(real, W_OK) == 0 && access(dirname(real), W_OK) == 0;
  free(real);
  return is;
}

/* How SQLite reads a database that this user may not write. As a reader it would make the files of
 * the log, which the owner could not write from then on. `has_log`: somebody writes the database,
 * or was killed, and the files are there; else the database is complete without them. */
static err name_source(const char *path, bool has_log, strbuf *out) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "_-./";
  strbuf_append(out, "file:");
  if (path[0] == '/' && path[1] == '/') strbuf_append(out, "//"); /* a host would follow */
  for (const char *at = path; *at; at++)
    if (strchr(plain, *at))
      strbuf_append_char(out, *at);
    else
      strbuf_format(out, "%%%02X", (unsigned char)*at);
  strbuf_append(out, has_log ? "?readonly_shm=1" : "?immutable=1");
  return out->is_broken ? mem_error(0, path) : NULL;
}

static bool has_log(const char *path) {
  struct stat status;
  bool is_open;
  return find_beside(path, "-wal", &status, &is_open) && status.st_size > 0;
}

static int copy_from(store *s, const char *source_name, int flags) {
  sqlite3 *source = NULL;
  int code = sqlite3_open_v2(source_name, &source, flags | SQLITE_OPEN_NOMUTEX, NULL);
  if (code == SQLITE_OK) {
    sqlite3_busy_timeout(source, BUSY_TIMEOUT_MS);
    sqlite3_backup *copying = sqlite3_backup_init(s->database, "main", source, "main");
    if (copying) (void)sqlite3_backup_step(copying, -1);
    code = copying ? sqlite3_backup_finish(copying) : sqlite3_errcode(s->database);
  }
  sqlite3_close(source);
  return code;
}

/* Without the log nothing is locked: a copy during which a log came or went is made again. */
static err copy_unwritable(store *s) {
  enum { MOST_TRIES = 5 };
  int code = SQLITE_OK;
  for (int i = 0; i < MOST_TRIES; i++) {
    bool with_log = has_log(s->path);
    strbuf name = {0};
    err error = name_source(s->path, with_log, &name);
    if (!error) code = copy_from(s, name.data, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
    strbuf_free(&name);
    if (error) return error;
    if (code == SQLITE_OK && with_log == has_log(s->path)) return NULL;
  }
  if (code == SQLITE_OK) code = SQLITE_BUSY;
  if (code == SQLITE_BUSY || code == SQLITE_CORRUPT || code == SQLITE_NOMEM)
    return sql_error(s, code);
  return err_new(ERR_IO, "%s: cannot be read by a user who may not write it (%s)%s", s->path,
                 sqlite3_errstr(code),
                 has_log(s->path)
                     ? "; a process that was killed may have left its log: any command "
                       "of the database's owner, as 'flipbench status', completes it"
                     : "");
}

/* Copies the database of s->path into the one that is open, while others may be writing to it. */
static err copy_database(store *s) {
  if (!is_writable(s->path)) return copy_unwritable(s);
  int code = copy_from(s, s->path, SQLITE_OPEN_READWRITE);
  return code == SQLITE_OK ? NULL : sql_error(s, code);
}

/* is_copy: of a database that is there; changes to the copy are discarded. */
static err open_file(const char *path, int flags, bool is_copy, store **out) {
  store *s = mem_zeroed(1, sizeof *s);
  if (!s) return mem_error(sizeof *s, path);
  err error = NULL;
  bool is_behind;
  s->patience_ms = BUSY_TIMEOUT_MS;
  s->is_copy = is_copy;
  s->path = mem_copy_string(path);
  if (!s->path) FAIL(ERR_MEMORY, "out of memory: %s", path);
  int code = sqlite3_open_v2(is_copy ? "" : path, &s->database, flags | SQLITE_OPEN_NOMUTEX, NULL);
  if (code != SQLITE_OK) {
    error = sql_error(s, code);
    goto cleanup;
  }
  sqlite3_extended_result_codes(s->database, 1);
  sqlite3_busy_timeout(s->database, BUSY_TIMEOUT_MS);
  if (is_copy)
    TRY(copy_database(s));
  else
    TRY(use_write_ahead_log(s));
  TRY(sql_script(s, pragmas));
  TRY(schema_upgrade(s, &is_behind));
  if (is_behind) TRY(read_folders_anew(s));
  if (is_behind) TRY(schema_note_folders_read(s));
  *out = s;
cleanup:
  if (error) store_close(s);
  return error;
}

err store_open(const char *path, store **s) {
  char *copy = mem_copy_string(path);
  if (!copy) return mem_error(0, path);
  err error = fs_make_folders(dirname(copy));
  free(copy);
  if (!error && fs_exists(path) && !is_writable(path))
    error = cannot_write(path, "it or its folder is another user's, or read-only");
  return error ? error : open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, s);
}

static err find_existing(const char *path) {
  if (fs_exists(path)) return NULL;
  return err_new(ERR_INPUT,
                 "%s: no database yet; 'flipbench run EXPERIMENT.yaml' creates one, and "
                 "'flipbench db rebuild' makes it from the folders of runs",
                 path);
}

err store_open_existing(const char *path, store **s) {
  err error = find_existing(path);
  return error ? error : store_open(path, s);
}

err store_open_reading(const char *path, store **s) {
  err error = find_existing(path);
  if (error) return error;
  return is_writable(path) ? open_file(path, SQLITE_OPEN_READWRITE, false, s)
                           : store_open_copy(path, s);
}

err store_open_empty(store **s) {
  return open_file(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, s);
}

err store_open_copy(const char *path, store **s) {
  if (!fs_exists(path)) return store_open_empty(s);
  return open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, true, s);
}

err store_vacuum(store *s) {
  return sql_script(s, "VACUUM; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);");
}

err store_check(store *s) {
  sqlite3_stmt *rows;
  strbuf found = {0};
  bool more;
  err error = sql_query(s, &rows, "PRAGMA integrity_check", "");
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    if (strcmp(sql_text(rows, 0), "ok") != 0) strbuf_format(&found, "\n  %s", sql_text(rows, 0));
  if (!error) error = sql_query(s, &rows, "PRAGMA foreign_key_check", "");
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    strbuf_format(&found, "\n  a row of %s refers to a missing row of %s", sql_text(rows, 0),
                  sql_text(rows, 2));
  if (!error && found.length)
    error = err_new(ERR_IO, "%s: database is damaged; 'flipbench db rebuild' rebuilds it:%s",
                    s->path, strbuf_string(&found));
  strbuf_free(&found);
  return error;
}

err store_begin(store *s) {
  return sql_begin(s);
}

err store_begin_reading(store *s) {
  err error = s->depth ? NULL : sql_script(s, "BEGIN");
  if (!error) s->depth++;
  return error;
}

err store_end(store *s, err error) {
  return sql_end(s, error);
}
