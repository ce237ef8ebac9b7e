# One bar a row, and where it would be if it followed the FLOPs alone.
# $bars: position, value, name, value text, ratio text, height of the value's text;
# $ideal: position, value (not for the baseline).
set boxwidth (is_column ? 0.68 : 0.52)
set style fill solid 1.0 noborder
name_font = is_column ? ',9.5' : ',11.5'
set xtics scale 0 font name_font
set border 2
half = is_column ? 0.4 : 0.33
ratio_font = is_column ? (bars <= 4 ? ',10.5' : ',7') : bars <= 4 ? ',15' : bars <= 6 ? ',11' : ',8'
plot for [i=0:bars-1] $bars every ::i::i using 1:2:xtic(3) with boxes linecolor rgb colour(i), \
     $bars using 1:6:4 with labels noenhanced center offset 0,0.75 font ',11.5' textcolor rgb ink, \
     $bars using 1:($2 / 2):5 with labels noenhanced center font ratio_font textcolor rgb 'white', \
     $ideal using ($1 - half):2:(2 * half):(0) with vectors nohead dashtype (4,3) linewidth 1.8 linecolor rgb ink, \
     $ideal using ($1 + half):2:(ideal_text) every ::(bars-1)::(bars-1) with labels noenhanced left offset 0.6,0 font ',10' textcolor rgb ink
