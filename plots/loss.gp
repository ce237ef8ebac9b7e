# Training loss, averaged over short stretches of steps.
set format y '%.1f'
load plots_folder.'/curves.gp'
