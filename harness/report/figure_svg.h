/* Titles in gnuplot's SVG. gnuplot gives every curve the plot command as its title, and the drawing
 * the title "Gnuplot": browsers show them on hover, screen readers read them out. Internal to
 * report/. */
#ifndef FLIPBENCH_REPORT_FIGURE_SVG_H
#define FLIPBENCH_REPORT_FIGURE_SVG_H

#include "base/err.h"
#include "base/text.h"

/* Appends the SVG without the titles of its curves; the drawing's becomes `title` ("": none). */
void figure_svg_retitle(const char *svg, const char *title, strbuf *out);
/* The same in a file. */
err figure_svg_tidy(const char *path, const char *title) ERR_MUST_CHECK;
/* ERR_INPUT if one of the files that gnuplot was to draw is empty, as with a template that plots
 * nothing. */
err figure_check_files(const char *folder, const char *name, const char *formats) ERR_MUST_CHECK;

#endif
