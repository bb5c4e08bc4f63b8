// NGrams tests
