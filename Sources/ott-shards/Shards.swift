import ArgumentParser

@main
struct Shards: ParsableCommand {}
