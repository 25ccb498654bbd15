"""What any implementation of a port must do, in every world: the same tests in memory and over real wires."""
