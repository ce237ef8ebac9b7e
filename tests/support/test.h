/* What every cmocka test includes, in the order cmocka wants. */
#ifndef FLIP_TEST_H
#define FLIP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

/* Fails the test with the error's own message. */
#define assert_ok(call)                                                                            \
  do {                                                                                             \
    err error_ = (call);                                                                           \
    if (error_) fail_msg("%s: %s", #call, err_message(error_));                                    \
  } while (0)

/* The call must fail, with `part` somewhere in its message. */
#define assert_fails_with(call, part)                                                              \
  do {                                                                                             \
    err error_ = (call);                                                                           \
    if (!error_) fail_msg("%s: expected an error about '%s'", #call, part);                        \
    if (!strstr(err_message(error_), part))                                                        \
      fail_msg("%s: '%s' does not mention '%s'", #call, err_message(error_), part);                \
    err_free(error_);                                                                              \
  } while (0)

#endif
