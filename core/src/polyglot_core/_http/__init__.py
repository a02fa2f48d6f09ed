"""The only I/O of core: pools, exchanges, and the clocks over both."""
