// NGrams
