# The shared theme. Every script that flipbench writes sets `format` (svg, png, pdf), `out`, the
# texts (`title_text`, `subtitle_text`, `source_line`, `x_label`, `y_label`) and their sizes, the
# edges, the ranges and the data blocks, and then loads this file and the figure's own template.

# `is_column`: for one of two columns of a paper, 3.3 inches, letters of 7 to 8 points, no title.
width = is_column ? 396 : 760; height = is_column ? 288 : 500
inches = is_column ? 3.3 : 7.6
if (format eq 'svg') \
  set terminal svg size width,height dynamic enhanced font 'DejaVu Sans,13' background 'white'
if (format eq 'png') \
  set terminal pngcairo size 2*width,2*height enhanced font 'DejaVu Sans,13' fontscale 2 linewidth 2 pointscale 2 background 'white'
if (format eq 'pdf') \
  set terminal pdfcairo size (inches)in,(inches*height/width)in enhanced font 'DejaVu Sans,13' fontscale (is_column ? 0.6 : 0.75) linewidth (is_column ? 1 : 1.4) pointscale (is_column ? 0.5 : 0.7) background 'white'
set output out.'.'.format
set encoding utf8

# The Okabe-Ito palette, distinguishable with every kind of colour vision; grey for the baseline.
# Series also differ in direct labels and point shapes: the ninth has the first one's colour and another
# shape than that or the black one, which is almost as dark.
ink = '#222222'; faint = '#8a8a8a'; grid_colour = '#e4e4e4'
array palette[8] = ['#4d4d4d', '#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000']
array shape[6] = [7, 5, 9, 13, 11, 15] # harness/report/figure.c has them as letters
colour(i) = palette[(int(i) % 8) + 1]
shape_of(i) = shape[(int(i) % 8 + 2 * (int(i) / 8)) % 6 + 1]
rgb(i) = int(sprintf('0x%s', substr(colour(i), 2, 7)) + 0)

set border 3 linecolor rgb faint linewidth 1
set tics nomirror out scale 0.5 textcolor rgb ink font ',11'
set xtics noenhanced offset 0,(is_column ? 0.3 : 0)
set grid ytics linetype 1 linecolor rgb grid_colour linewidth 1
set key off
set format y '%g'
set lmargin at screen left_edge
set rmargin at screen right_edge
set tmargin at screen (is_column ? 0.885 : 0.815)
set bmargin at screen (is_column ? 0.215 : 0.165)

title_font = sprintf(',%.1f', title_size); subtitle_font = sprintf(',%.1f', subtitle_size)
source_font = sprintf(',%.1f', source_size)
if (!is_column) set label 101 title_text noenhanced at screen 0.022,0.957 left font title_font textcolor rgb ink
if (!is_column) set label 102 subtitle_text noenhanced at screen 0.022,0.905 left font subtitle_font textcolor rgb faint
if (!is_column) set label 103 source_line noenhanced at screen 0.022,0.025 left font source_font textcolor rgb faint
# The name of the x axis is centred below the plot, or as close to that as the figure has room for it.
x_label_half = 0.5 * 8.1 * strlen(x_label) / width
x_label_font = sprintf(',%.1f', 11.5 * (x_label_half > 0.485 ? 0.485 / x_label_half : 1))
if (x_label_half > 0.485) { x_label_half = 0.485 }
x_label_at = (left_edge + right_edge) / 2.0
x_label_shift = x_label_at < 0.01 + x_label_half ? 0.01 + x_label_half - x_label_at : x_label_at > 0.99 - x_label_half ? 0.99 - x_label_half - x_label_at : 0
set xlabel x_label noenhanced textcolor rgb ink font x_label_font offset screen x_label_shift,character (is_column ? 0.8 : 0.3)
unset ylabel
set label 104 y_label noenhanced at screen 0.022,(is_column ? 0.95 : 0.85) left font ',11.5' textcolor rgb ink
if (is_x_log) { set logscale x }
set xrange [x_least:x_most]
set yrange [y_least:y_most]
