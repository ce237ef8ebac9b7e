#include "cli/bus.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Everything here runs in a signal handler: only async-signal-safe calls, and no allocation. */

enum { LONGEST_LINE = 4608, READ_AT_ONCE = 1024 };

static uintptr_t take_hex(const char **at) {
  uintptr_t value = 0;
  for (;; (*at)++) {
    unsigned digit = (unsigned)(unsigned char)**at;
    if (digit - '0' < 10)
      value = value << 4 | (digit - '0');
    else if (digit - 'a' < 6)
      value = value << 4 | (digit - 'a' + 10);
    else
      return value;
  }
}

/* The path in a line "start-end flags offset device inode path" that contains the address; NULL for
 * other lines, and memory without a file. */
static const char *path_of(const char *line, uintptr_t address) {
  uintptr_t start = take_hex(&line);
  line += *line == '-';
  uintptr_t end = take_hex(&line);
  return start <= address && address < end ? strchr(line, '/') : NULL;
}

/* The path in `line`, NULL if the address is in no file's mapping. */
static const char *find_file(uintptr_t address, char line[LONGEST_LINE]) {
  char block[READ_AT_ONCE];
  size_t used = 0;
  ssize_t got;
  const char *path = NULL;
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  while (fd >= 0 && !path && (got = read(fd, block, sizeof block)) > 0)
    for (ssize_t i = 0; i < got && !path; i++) {
      line[used] = block[i] == '\n' ? '\0' : block[i];
      if (block[i] == '\n') path = path_of(line, address);
      used = block[i] == '\n' ? 0 : used + (used < LONGEST_LINE - 1);
    }
  if (fd >= 0) close(fd);
  return path;
}

static void say(const char *text) {
  ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written;
}

static void on_fault(int number, siginfo_t *info, void *context) {
  static atomic_flag is_reported = ATOMIC_FLAG_INIT;
  char line[LONGEST_LINE];
  (void)context;
  while (atomic_flag_test_and_set(&is_reported)) pause(); /* another thread is about to exit */
  const char *path = find_file((uintptr_t)info->si_addr, line);
  if (!path) { /* no file's: the instruction faults again, and ends the process as usual */
    signal(number, SIG_DFL);
    atomic_flag_clear(&is_reported);
    return;
  }
  say("flip: error: ");
  say(path);
  say(": cannot be read any more: it was truncated, or its file system failed\n");
  _exit(1);
}

void bus_name_files(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, NULL);
}
