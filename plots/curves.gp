# Lines with direct labels at their ends (set by the script, clear of lines and points); a dashed part
# for the tuning, a band for the 95 % interval. With several panels a legend instead of the labels.
# legend_lines: of that legend (1). mark_every: points from one mark to the next, not the same ones on
# each line.
# $points: blocks by series of x, y, low, high;  $tuning: the same;  $bands: the outline of low and high.
# panel_of[], colour_of[]: of series. panel_tic_step: of the y axes of panels.
if (has_band) { \
  set style fill transparent solid (series > 8 * panels ? 0.05 : 0.13) noborder \
}
own(i) = colour(colour_of[i + 1])
mark(i) = shape_of(colour_of[i + 1])
in(i) = panel_of[i + 1] == panel ? 1 : NaN
across_panels = panels <= 3 ? panels : (panels + 1) / 2
down_panels = panels <= 3 ? 1 : 2
more_lines = legend_lines - 1
if (is_column && panels > 3) { set ytics font ",8.5" }
top_edge = is_column ? 0.79 - 0.042 * more_lines : 0.735 - 0.033 * (more_lines > 1 ? more_lines - 1 : 0); bottom_edge = is_column ? 0.215 : 0.165
gap_x = 0.034; gap_y = 0.13
panel_width = (0.97 - left_edge - gap_x * (across_panels - 1)) / across_panels
panel_height = (top_edge - bottom_edge - gap_y * (down_panels - 1)) / down_panels
if (panels > 1) {
  set multiplot
  set label 104 y_label noenhanced at screen 0.022,(is_column ? 0.905 - 0.042 * more_lines : 0.812 - (more_lines < 2 ? 0.017 : 0.033) * more_lines) left font ',11.5' textcolor rgb ink
  set label 106 x_label noenhanced at screen (left_edge + 0.97) / 2.0,(is_column ? 0.05 : 0.074) center font ',11.5' textcolor rgb ink
  unset xlabel
  set ytics panel_tic_step
}
set xtics tic_step
do for [panel=0:panels-1] {
  if (panels > 1) {
    column_at = panel % across_panels; row_at = panel / across_panels
    set lmargin at screen left_edge + column_at * (panel_width + gap_x)
    set rmargin at screen left_edge + column_at * (panel_width + gap_x) + panel_width
    set tmargin at screen top_edge - row_at * (panel_height + gap_y)
    set bmargin at screen top_edge - row_at * (panel_height + gap_y) - panel_height
    set label 105 panel_name[panel + 1] noenhanced at graph 0.02,1.06 left font (is_column ? ',10' : ',11.5') textcolor rgb ink
    if (column_at > 0) { set ytics format '' }
    if (column_at == 0) { set ytics format '%g' }
    if (panel > 0) { unset label 101; unset label 102; unset label 103; unset label 104; unset label 106; unset label 107; unset for [i=201:230] label i }
  }
  plot for [i=0:series-1] $bands index i using (has_band ? $1 * in(i) : NaN):2 with filledcurves closed linecolor rgb own(i), \
     for [i=0:series-1] $points index i using ($1 * in(i)):2 with lines linewidth 2.2 linecolor rgb own(i), \
     for [i=0:series-1] $points index i every mark_every::((5 * i) % mark_every) using ($1 * in(i)):(has_marks ? $2 : NaN) with points pointtype mark(i) pointsize 0.62 linecolor rgb own(i), \
     for [i=0:series-1] $tuning index i using ($1 * in(i)):2 with lines dashtype (6,4) linewidth 2.2 linecolor rgb own(i), \
     for [i=0:series-1] $tuning index i using ($1 * in(i)):2 with points pointtype mark(i) pointsize 0.62 linecolor rgb own(i)
}
if (panels > 1) { unset multiplot }
