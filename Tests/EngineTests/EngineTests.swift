// Engine tests
