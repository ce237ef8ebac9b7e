/* Log lines on stderr: "flip: warning: …". The only process-wide state. */
#ifndef FLIP_BASE_LOG_H
#define FLIP_BASE_LOG_H

typedef enum { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG } log_level;

/* Program name for the prefix and the lowest severity shown (initially LOG_INFO). */
void log_setup(const char *program, log_level level);
void log_line(log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
