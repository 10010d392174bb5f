"""The command line: one short module per verb, loaded when it is used. Only here errors become text and exit codes."""
