#include "cli/stop.h"

#include "base/interrupt.h"

static void on_signal(int number) {
  if (interrupt_is_requested()) signal(number, SIG_DFL);
  interrupt_request();
}

const volatile sig_atomic_t *stop_on_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
  return &interrupt_requested;
}
