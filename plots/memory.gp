load plots_folder.'/bars.gp'
