// Parallel tests
