import os

# CUDA tests run in processes of their own: the simulator is chosen before numba is imported
collect_ignore_glob = [] if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" else ["cuda/*"]
