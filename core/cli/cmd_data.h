/* Subcommands of `flip data` in files of their own. */
#ifndef FLIP_CLI_CMD_DATA_H
#define FLIP_CLI_CMD_DATA_H

int cmd_data_filter(int argc, char **argv);
int cmd_data_balance(int argc, char **argv);

#endif
