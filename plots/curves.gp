# Lines with direct labels at their ends (set by the script, clear of the lines); a dashed part for
# the tuning, a band for the seeds.
# $points: blocks by series of x, y, low, high;  $tuning: the same.
if (has_band) { \
  set style fill transparent solid 0.14 noborder \
}
plot for [i=0:series-1] $points index i using 1:(has_band ? $3 : NaN):4 with filledcurves linecolor rgb colour(i), \
     for [i=0:series-1] $points index i using 1:2 with lines linewidth 2.2 linecolor rgb colour(i), \
     for [i=0:series-1] $points index i using 1:(has_marks ? $2 : NaN) with points pointtype shape[(i % 8) + 1] pointsize 0.62 linecolor rgb colour(i), \
     for [i=0:series-1] $tuning index i using 1:2 with lines dashtype (6,4) linewidth 2.2 linecolor rgb colour(i), \
     for [i=0:series-1] $tuning index i using 1:2 with points pointtype shape[(i % 8) + 1] pointsize 0.62 linecolor rgb colour(i)
