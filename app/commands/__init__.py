"""The command line's commands, one file per group; `app.cli` names them and `lazy` imports them."""
