# One bar per row with its 95 % interval, and a dashed mark at the value that the FLOPs predict.
# $bars: position, value, low, high, name, text, x position of the text, colour;
# low and high are NaN without an interval;
# $ideal: position, value (NaN for the baseline);
# $part: position, value, colour of what is included in the bars, if has_part: they are lighter then.
unset grid
set border 1
set style fill solid 1.0 noborder
text_font = sprintf(',%.1f', name_size)
set ytics scale 0 font text_font noenhanced
set xtics format '%g'
set xtics tic_step
plot $bars using 2:1:(0):2:($1 - 0.34):($1 + 0.34):(rgb($8)):ytic(5) with boxxyerror fillstyle solid (has_part ? 0.35 : 1.0) noborder linecolor rgb variable, \
     $part using 2:1:(0):2:($1 - 0.34):($1 + 0.34):(rgb($3)) with boxxyerror linecolor rgb variable, \
     $bars using (valid(3) && $3 <= $4 ? $2 : NaN):1:3:4 with xerrorbars pointtype -1 linewidth 1.4 linecolor rgb ink, \
     $ideal using 2:($1 - 0.42):(0):(0.84) with vectors nohead dashtype (4,3) linewidth 1.8 linecolor rgb ink, \
     $bars using 7:1:6 with labels noenhanced left font text_font textcolor rgb ink
