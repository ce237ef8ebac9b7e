# Measurements over commits, one panel per series, the oldest commit on the left.
# $pointsK: place, median, least, greatest of the samples, kind (0 plain, 1 disturbed, 2 set aside, 3 alone,
# 4 both);
# $levelsK: first and last place, mean, low, high of its 95 % interval; $changesK: place, low and high of
# the panel, text;
# $commitsK: place, name of the commits named at the
# axis. nameK: the series; lowK, highK, stepK: its range
# and the distance of its tics.
unset key
unset xlabel
unset label 104
top = is_column ? 0.885 : 0.80
bottom = is_column ? 0.10 : 0.11
gap = is_column ? 0.13 : 0.085
tall = (top - bottom - gap * (panels - 1)) / panels
left_edge = is_column ? 0.145 : 0.085
tic_font = is_column && panels > 2 ? ',8' : ',9'
set xrange [x_least:x_most]
set multiplot
do for [k=1:panels] {
  if (k == 2) {
    unset label 101
    unset label 102
    unset label 103
    unset label 107
  }
  hue = k
  panel_top = top - (k - 1) * (tall + gap)
  set lmargin at screen left_edge
  set rmargin at screen right_edge
  set tmargin at screen panel_top
  set bmargin at screen panel_top - tall
  set label 110 value(sprintf('name%d', k)) noenhanced at screen left_edge,(panel_top + 0.022) left font ',11' textcolor rgb colour(hue)
  set label 111 y_label noenhanced at screen right_edge,(panel_top + 0.022) right font ',9' textcolor rgb faint
  set yrange [value(sprintf('low%d', k)):value(sprintf('high%d', k))]
  set xtics () font ',8.5' offset 0,0.7
  set ytics value(sprintf('step%d', k)) font tic_font
  set style fill transparent solid 0.18 noborder
  plot sprintf('$levels%d', k) using (($1 + $2) / 2):3:1:2:4:5 with boxxyerror linecolor rgb colour(hue), \
       sprintf('$levels%d', k) using 1:3:($2 - $1):(0) with vectors nohead linewidth 1.6 linecolor rgb colour(hue), \
       sprintf('$changes%d', k) using 1:2:(0):($3 - $2) with vectors nohead dashtype (4,3) linewidth 1 linecolor rgb ink, \
       sprintf('$points%d', k) using 1:3:(0):($4 - $3) with vectors nohead linewidth 1.1 linecolor rgb faint, \
       sprintf('$points%d', k) using 1:($5 == 0 ? $2 : NaN):xtic('') with points pointtype 7 pointsize 0.62 linecolor rgb colour(hue), \
       sprintf('$points%d', k) using 1:($5 == 1 ? $2 : NaN) with points pointtype 6 pointsize 0.7 linewidth 1.4 linecolor rgb colour(hue), \
       sprintf('$points%d', k) using 1:($5 == 2 ? $2 : NaN) with points pointtype 2 pointsize 0.7 linewidth 1.2 linecolor rgb faint, \
       sprintf('$points%d', k) using 1:($5 == 3 ? $2 : NaN) with points pointtype 13 pointsize 0.85 linecolor rgb colour(hue), \
       sprintf('$points%d', k) using 1:($5 == 4 ? $2 : NaN) with points pointtype 12 pointsize 0.85 linewidth 1.4 linecolor rgb colour(hue), \
       sprintf('$commits%d', k) using 1:(NaN):xtic(2) with points, \
       sprintf('$changes%d', k) using 1:3:4 with labels noenhanced left offset 0.4,-0.6 font ',9' textcolor rgb ink
}
unset multiplot
