import ArgumentParser

@main
struct Tokenize: ParsableCommand {}
