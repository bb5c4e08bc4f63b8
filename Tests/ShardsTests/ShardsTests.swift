// Shards tests
