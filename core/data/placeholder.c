typedef int data_placeholder;
