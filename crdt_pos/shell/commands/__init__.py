"""The commands of the shell, a file each; ``crdt_pos.shell`` says how to add one."""
