# CUDA tests run in processes of their own: the simulator is chosen before numba is imported,
# and the compile check needs the CUDA extra: both are named on the command line (see tox.ini)
collect_ignore_glob = ["cuda/*"]
