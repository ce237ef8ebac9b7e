# Accuracy against samples seen: the accuracy cost of masking, ignoring time.
load plots_folder.'/curves.gp'
