import ArgumentParser

@main
struct Sample: ParsableCommand {}
