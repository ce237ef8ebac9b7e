# Accuracy against training time. At the accuracy that both reach, lines drop to the times of the
# baseline and of the fastest series; the arrow between them is the iso-accuracy speed-up. It is
# near the bottom, where the curves leave room; so is its text, if it fits.
if (has_iso) { \
  foot = y_least + 0.075 * (y_most - y_least) ; \
  set arrow 1 from iso_from,foot to iso_to,foot head filled size screen 0.014,20 linewidth 2 linecolor rgb ink front ; \
  set arrow 2 from iso_from,iso_at to iso_from,y_least nohead dashtype (2,4) linewidth 1 linecolor rgb faint ; \
  set arrow 3 from iso_to,iso_at to iso_to,y_least nohead dashtype (2,4) linewidth 1 linecolor rgb faint ; \
  set arrow 4 from iso_from,iso_at to iso_to,iso_at nohead dashtype (2,4) linewidth 1 linecolor rgb faint ; \
  if (is_column) { set label 1 '← '.iso_text noenhanced at screen 0.975,0.95 right font ',10' textcolor rgb ink front } \
  else { set label 1 iso_text noenhanced at (iso_from + iso_to) / 2.0,foot center offset 0,0.8 font ',12.5' textcolor rgb ink front } \
}
load plots_folder.'/curves.gp'
