#include "base/interrupt.h"

#include <stddef.h>

volatile sig_atomic_t interrupt_requested;

bool interrupt_ignores_hangup(void) {
  struct sigaction now;
  return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void interrupt_catch(void (*handler)(int number)) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction action = {.sa_handler = handler};
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (numbers[i] != SIGHUP || !interrupt_ignores_hangup()) sigaction(numbers[i], &action, NULL);
}
