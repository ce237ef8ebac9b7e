/* Files: written whole or not at all. */
#include "support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "support/folder.h"

/* readdir for fs_list: after so many more names the disk fails; negative: never. */
static int names_before_a_fault = -1;

struct dirent *readdir(DIR *from) {
  if (names_before_a_fault == 0) {
    errno = EIO;
    return NULL;
  }
  if (names_before_a_fault > 0) names_before_a_fault--;
  return (struct dirent *)(void *)readdir64(from);
}

static void an_atomic_write_replaces_the_whole_file(void **state) {
  (void)state;
  char folder[FOLDER_SIZE];
  folder_make(folder);
  char *deep = fs_join(folder, "a/b"), *path = fs_join(folder, "a/b/file");
  assert_ok(fs_make_folders(deep));
  assert_ok(fs_write_atomic(path, "long first text", 15));
  assert_ok(fs_write_atomic(path, "short", 5));
  char *data, **names;
  size_t length, count;
  assert_ok(fs_read(path, &data, &length));
  assert_string_equal(data, "short");
  assert_ok(fs_list(deep, &names, &count));
  assert_int_equal(count, 1); /* no temporary file is left */
  fs_free_names(names, count);
  assert_fails_with(fs_write_atomic("/proc/none/file", "x", 1), "/proc/none/file");
  assert_fails_with(fs_read(folder, &data, &length), "is a folder");
  free(data);
  free(deep);
  free(path);
  folder_remove(folder);
}

static void a_folder_that_cannot_be_read_to_its_end_is_an_error(void **state) {
  (void)state;
  char folder[FOLDER_SIZE], **names;
  size_t count;
  folder_make(folder);
  char *path = fs_join(folder, "file");
  assert_ok(fs_write_atomic(path, "", 0));
  names_before_a_fault = 2;
  err error = fs_list(folder, &names, &count);
  names_before_a_fault = -1;
  assert_fails_with(error, "cannot read folder");
  assert_ok(fs_list(folder, &names, &count));
  assert_int_equal(count, 1);
  fs_free_names(names, count);
  free(path);
  folder_remove(folder);
}

/* As when its process is stopped in between. */
static void a_file_that_is_not_committed_never_has_its_name(void **state) {
  (void)state;
  char folder[FOLDER_SIZE], **names, *data;
  size_t count, length;
  folder_make(folder);
  char *path = fs_join(folder, "file");
  assert_ok(fs_write_atomic(path, "old", 3));
  fs_writer w = {0};
  assert_ok(fs_writer_open(&w, path));
  assert_ok(fs_writer_add(&w, "new", 3));
  assert_ok(fs_list(folder, &names, &count));
  assert_int_equal(count, 2);
  assert_false(fs_is_temporary(names[0]));
  assert_true(fs_is_temporary(names[1]));
  fs_free_names(names, count);
  fs_writer_close(&w);
  fs_writer_close(&w); /* nothing more to do */
  assert_ok(fs_list(folder, &names, &count));
  assert_int_equal(count, 1);
  fs_free_names(names, count);
  assert_ok(fs_read(path, &data, &length));
  assert_string_equal(data, "old");
  assert_false(fs_is_temporary("a.tmp") || fs_is_temporary("b.tmp1.tar") || fs_is_temporary("c"));
  free(data);
  free(path);
  folder_remove(folder);
}

/* A pipe gets the bytes, and stays one. */
static void a_file_that_is_none_is_written_into(void **state) {
  (void)state;
  char path[] = "/tmp/flip-pipe-XXXXXX", got[8] = "";
  struct stat at;
  assert_true(mkdtemp(path) != NULL);
  char *pipe_path = fs_join(path, "pipe");
  assert_int_equal(mkfifo(pipe_path, 0600), 0);
  int fd = open(pipe_path, O_RDONLY | O_NONBLOCK);
  assert_ok(fs_write_atomic(pipe_path, "bytes", 5));
  assert_int_equal(read(fd, got, sizeof got), 5);
  assert_string_equal(got, "bytes");
  assert_int_equal(stat(pipe_path, &at), 0);
  assert_true(S_ISFIFO(at.st_mode));
  close(fd);
  unlink(pipe_path);
  rmdir(path);
  free(pipe_path);
  assert_fails_with(fs_write_atomic("/dev/full", "x", 1), "/dev/full: cannot write");
}

static void a_folder_under_dev_holds_files_like_any_other(void **state) {
  (void)state;
  char folder[] = "/dev/shm/flip-test-XXXXXX";
  if (!mkdtemp(folder)) skip();
  char *path = fs_join(folder, "new");
  assert_ok(fs_write_atomic(path, "x", 1));
  assert_ok(fs_write_atomic(path, "y", 1));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(folder), 0);
  free(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_atomic_write_replaces_the_whole_file),
      cmocka_unit_test(a_folder_that_cannot_be_read_to_its_end_is_an_error),
      cmocka_unit_test(a_file_that_is_not_committed_never_has_its_name),
      cmocka_unit_test(a_file_that_is_none_is_written_into),
      cmocka_unit_test(a_folder_under_dev_holds_files_like_any_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
