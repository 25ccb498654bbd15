"""Orders of actions: the owner task, its runs, the safety action, and the steps of each station."""
