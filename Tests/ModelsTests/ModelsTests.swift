// Models tests
