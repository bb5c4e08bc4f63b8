// Stages tests
