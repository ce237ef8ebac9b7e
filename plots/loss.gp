# Training loss, averaged over short ranges of steps.
set format y '%.1f'
load plots_folder.'/curves.gp'
