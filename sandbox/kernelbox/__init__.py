"""What runs inside a sandbox: the supervisor, and the launchers of the kernels."""
