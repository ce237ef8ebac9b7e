#include <stdlib.h>

#include "base/log.h"
#include "cli/cli.h"

/* Both commands share one implementation. */
static int pause_or_resume(int argc, char **argv, bool is_pausing) {
  cli_place place = {.results = "results"};
  bool is_help_wanted;
  const char *name;
  option options[] = {CLI_PLACE_OPTIONS(place), {0}};
  command pausing = {
      "flipbench pause", "pause the sweeps of an experiment", "EXPERIMENT [OPTIONS]", options,
      "Use from another terminal: the running cells write a checkpoint and stop, and the\n"
      "sweep waits. Their memory, cores and GPUs are free until then, and the pause is\n"
      "not part of the measured times. 'flipbench resume' continues the sweep.\n"
      "\n"
      "example:\n"
      "  flipbench pause quickstart"};
  command resuming = {"flipbench resume", "resume paused sweeps", "EXPERIMENT [OPTIONS]", options,
                      "Ends a pause ('flipbench pause'): the sweep continues from the\n"
                      "checkpoints. Use 'flipbench run' to continue a sweep that has ended.\n"
                      "\n"
                      "example:\n"
                      "  flipbench resume quickstart"};
  option_list rest = {0};
  err error = NULL;
  TRY(options_parse(is_pausing ? &pausing : &resuming, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "EXPERIMENT", &name));
  /* without a sweep to obey it, a pause would only be shown by 'flipbench status' */
  bool is_running = run_is_swept(place.results, name);
  TRY(run_pause(place.results, name, is_pausing && is_running));
  if (!is_running)
    log_info("no sweep of '%s' is running: nothing to %s", name,
             is_pausing ? "pause" : "resume; 'flipbench run' continues one that has ended");
cleanup:
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}

int cli_pause(int argc, char **argv) {
  return pause_or_resume(argc, argv, true);
}

int cli_resume(int argc, char **argv) {
  return pause_or_resume(argc, argv, false);
}
