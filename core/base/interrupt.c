#include "base/interrupt.h"

#include <stddef.h>

volatile sig_atomic_t interrupt_requested;

bool interrupt_ignores_hangup(void) {
  struct sigaction now;
  return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}
