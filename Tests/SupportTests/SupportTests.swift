// Support tests
