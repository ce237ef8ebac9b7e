/* The view of the usual columns of each cell. Its accuracies are of the set that the experiment's
 * report calls the main one; '' is the first that has the metric and is not the shifted one. */
#ifndef FLIPBENCH_STORE_SUMMARY_VIEW_H
#define FLIPBENCH_STORE_SUMMARY_VIEW_H

// clang-format off
#define SUMMARY(stored, name)                                                                      \
  " (SELECT value FROM summary WHERE run_id = latest.run_id AND name = '" stored "') AS " name ","
#define ON_MAIN_SET(what, task, metric, name)                                                      \
  " (SELECT " what " FROM v_final_evaluation WHERE run_id = latest.run_id"                         \
  "  AND task = '" task "' AND metric = '" metric "' AND CASE experiment.main_set"                 \
  "  WHEN '' THEN set_name <> experiment.shifted_set ELSE set_name = experiment.main_set END"      \
  "  ORDER BY ordinal LIMIT 1) AS " name
#define SUMMARY_VIEW                                                                               \
  "CREATE VIEW v_cell_summary AS"                                                                  \
  " SELECT latest.experiment, latest.position, latest.label, latest.axes, latest.cell_id,"         \
  " latest.status, latest.message, latest.ended, latest.run_id,"                                   \
  SUMMARY("samples_per_second", "samples_per_second")                                              \
  SUMMARY("steady_seconds", "steady_seconds")                                                      \
  SUMMARY("train_seconds", "train_seconds")                                                        \
  SUMMARY("disturbed", "disturbed")                                                                \
  SUMMARY("lost_share", "lost_share")                                                              \
  SUMMARY("peak_bytes", "peak_bytes")                                                              \
  SUMMARY("flops_per_sample_total", "flops_per_sample")                                            \
  SUMMARY("mfu", "mfu")                                                                            \
  SUMMARY("data_wait_share", "data_wait_share")                                                    \
  SUMMARY("final_loss", "final_loss")                                                              \
  ON_MAIN_SET("value", "zeroshot", "top1", "zero_shot_top1,")                                      \
  ON_MAIN_SET("value", "zeroshot", "mean_per_class", "zero_shot_mean_per_class,")                  \
  ON_MAIN_SET("set_name", "zeroshot", "mean_per_class", "zero_shot_set,")                          \
  ON_MAIN_SET("value", "retrieval", "image_to_text_r1", "retrieval_i2t_r1,")                       \
  ON_MAIN_SET("set_name", "retrieval", "image_to_text_r1", "retrieval_set")                        \
  " FROM v_cell_latest AS latest JOIN experiment ON experiment.name = latest.experiment;"
// clang-format on

#endif
