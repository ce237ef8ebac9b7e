# One metric against another, or against a numeric axis: points with their 95 % intervals and direct
# labels; lines join the points of an axis (is_joined).
# $points: blocks by series of x, y, low, high, x low, x high. colour_of[]: of series.
own(i) = colour(colour_of[i + 1])
mark(i) = shape_of(colour_of[i + 1])
if (strlen(axis_tics) > 0) { eval 'set xtics '.axis_tics } else { set xtics tic_step }
set style fill solid 1.0 noborder
plot for [i=0:series-1] $points index i using 1:(is_joined ? $2 : NaN) with lines linewidth 2 linecolor rgb own(i), \
     for [i=0:series-1] $points index i using 1:2:3:4 with yerrorbars pointtype -1 linewidth 1.3 linecolor rgb own(i), \
     for [i=0:series-1] $points index i using 1:2:5:6 with xerrorbars pointtype -1 linewidth 1.3 linecolor rgb own(i), \
     for [i=0:series-1] $points index i using 1:2 with points pointtype mark(i) pointsize 1 linecolor rgb own(i)
