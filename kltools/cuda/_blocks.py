"""What the threads of a block do together."""

from ._compat import cuda, device


def sum_of_block(own, kept):
    """The sum of what all threads bring, in the order of a tree."""
    thread, threads = cuda.threadIdx.x, kept.shape[0]
    cuda.syncthreads()
    kept[thread] = own
    cuda.syncthreads()
    reach = 1
    while reach < threads:  # threads need not be a power of two
        if thread % (2 * reach) == 0 and thread + reach < threads:
            kept[thread] += kept[thread + reach]
        cuda.syncthreads()
        reach *= 2
    return kept[0]


sum_of_block = device(sum_of_block)
