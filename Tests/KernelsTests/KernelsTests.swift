// Kernels tests
