# Accuracy against samples seen: what masking costs when time does not count.
load plots_folder.'/curves.gp'
