import ArgumentParser

@main
struct Map: ParsableCommand {}
