import ArgumentParser

@main
struct Plan: ParsableCommand {}
