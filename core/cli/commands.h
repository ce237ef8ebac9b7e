/* The subcommands of `flip`. Each parses its own arguments (argv[0] is the subcommand's name) and
 * returns the exit status: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted. */
#ifndef FLIP_CLI_COMMANDS_H
#define FLIP_CLI_COMMANDS_H

int cmd_train(int argc, char **argv);
int cmd_finetune(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_inputs(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_data(int argc, char **argv);
int cmd_tokenizer(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_retrieve(int argc, char **argv);
int cmd_dream(int argc, char **argv);

#endif
