// Grammar tests
