// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// The rooms of the house, bottom up: nothing imports upward. README.md has the annotated tree.
let settings: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

/// A package by its version, or, in an unpacked archive, the sources that came with it.
func dependency(_ name: String, at owner: String, exact version: Version) -> Package.Dependency {
  let packed = "Packages/\(name)"
  return FileManager.default.fileExists(atPath: Context.packageDirectory + "/" + packed)
    ? .package(path: packed) : .package(url: owner + name, exact: version)
}

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func stage(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies + ["Stages", argumentParser], swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = [])
  -> Target
{
  .testTarget(
    name: name + "Tests", dependencies: dependencies, resources: resources, swiftSettings: settings)
}

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let mustache = Target.Dependency.product(name: "Mustache", package: "swift-mustache")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
  name: "overtoken",
  dependencies: [
    dependency("swift-argument-parser", at: "https://github.com/apple/", exact: "1.8.2"),
    dependency("swift-mustache", at: "https://github.com/hummingbird-project/", exact: "2.1.1"),
    dependency("Yams", at: "https://github.com/jpsim/", exact: "6.2.2"),
  ],
  targets: [
    // MARK: C libraries and what the C compiler knows of the host
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "CSupport"),
    .target(name: "CKernels"),
    .target(name: "CFuzzing"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CTokenization"),
    // What an MPI's own compiler compiles is a library of its own: tools/build-mpi.
    .target(name: "CMPI", exclude: ["Shim.c"]),
    .target(name: "CTorch"),

    // MARK: Ground floor: files, streams, shards
    library("Support", ["CSupport", yams]),
    library("Shards", ["Support", "Parallel", "CZstd"]),
    library("Parallel", ["CSupport", "Support"]),
    library("Ranks", ["CMPI", "Parallel", "Support"]),
    library("Statistics"),

    // MARK: Data
    library("Grammar", ["Support"]),
    library("Tokenization", ["Support", "Parallel", "CTokenization", "CZlib", "CZstd"]),
    library("NGrams", ["CSupport", "Parallel", "Shards", "Support", "Tokenization"]),
    library("Contracts", ["NGrams", "Support", "Tokenization"]),
    library("Stages", ["Contracts", "Parallel", "Ranks", "Support", argumentParser]),
    library(
      "DataStages",
      ["Contracts", "Grammar", "NGrams", "Parallel", "Shards", "Support", "Tokenization"]),

    // MARK: Engine and models
    library("Kernels", ["COpenBLAS", "CKernels", "Support"]),
    library("Engine", ["Kernels", "Parallel", "Support"]),
    library("Torch", ["CTorch", "Engine", "Kernels", "Parallel", "Support"]),
    library("Models", ["Engine", "Kernels", "NGrams", "Parallel", "Support"]),
    library("Stores", ["Kernels", "NGrams", "Support"]),
    library("Checkpoints", ["Contracts", "Engine", "Kernels", "Parallel", "Support"]),
    library(
      "Training",
      [
        "Models", "Checkpoints", "Contracts", "Engine", "Kernels", "NGrams", "Parallel", "Shards",
        "Support", "Torch",
      ]),
    library(
      "Evaluation",
      [
        "Models", "Checkpoints", "Contracts", "Engine", "Parallel", "Grammar", "Tokenization",
        "NGrams", "Shards", "Statistics", "Stores", "Support", "Torch", "Training",
      ]),

    // MARK: Models from and for others
    .target(
      name: "Exchange",
      dependencies: [
        "Checkpoints", "Contracts", "Engine", "Evaluation", "Models", "NGrams", "Stores", "Support",
        "Tokenization",
      ], resources: [.embedInCode("modeling_overtoken.py")], swiftSettings: settings),

    // MARK: Experiments
    library(
      "Planning",
      [
        "Contracts", "Engine", "Support", "Grammar", "Tokenization", "NGrams", "Models", "Kernels",
        "Parallel", "Torch",
      ]),
    library("Provenance", ["Support", "Shards", "Stores"]),
    .target(
      name: "Reporting",
      dependencies: ["Contracts", "Provenance", "Support", "Statistics", mustache],
      resources: [.embedInCode("Page/Templates")], swiftSettings: settings),
    library(
      "Benchmark",
      [
        "Training", "Evaluation", "Planning", "Contracts", "Models", "Checkpoints", "Engine",
        "Kernels", "NGrams", "Parallel", "Grammar", "Stores", "Tokenization", "Statistics",
        "Support", "Torch",
      ]),

    // MARK: Faults
    library(
      "Fuzzing",
      [
        "Contracts", "Support", "Shards", "Checkpoints", "Training", "Tokenization", "Grammar",
        "NGrams", "Parallel", "Stores", "CFuzzing", "CZlib", "CZstd",
      ]),

    // MARK: Executables
    stage("ott-sample", ["Contracts", "DataStages", "Grammar", "Shards", "Support"]),
    stage("ott-tokenize", ["Contracts", "DataStages", "Tokenization", "Shards", "Support"]),
    stage("ott-vocabulary", ["Contracts", "DataStages"]),
    stage("ott-discover", ["Contracts", "DataStages", "Shards", "Support"]),
    stage("ott-map", ["Contracts", "DataStages", "NGrams", "Shards", "Support"]),
    stage("ott-count", ["Contracts", "Evaluation", "Shards", "Support"]),
    stage("ott-import", ["Contracts", "Exchange", "Support"]),
    stage("ott-train", ["Contracts", "Engine", "Training", "Kernels", "Support", "Torch"]),
    stage("ott-materialize", ["Contracts", "Evaluation", "Kernels", "Support"]),
    stage("ott-evaluate", ["Contracts", "Evaluation", "Kernels", "Shards", "Support"]),
    stage("ott-downstream", ["Contracts", "Evaluation", "Kernels", "Shards", "Support"]),
    stage("ott-plan", ["Contracts", "Kernels", "Planning", "Support", "Tokenization"]),
    stage("ott-report", ["Contracts", "Reporting", "Support"]),
    stage("ott-export", ["Exchange", "Kernels", "Support"]),
    stage("ott-generate", ["Exchange", "Kernels", "Stores", "Support"]),
    stage("ott-shards", ["Shards", "Support"]),
    stage(
      "ott-bench",
      [
        "Benchmark", "Checkpoints", "Engine", "Training", "Planning", "Models", "Grammar",
        "Kernels", "Parallel", "Stores",
        "Tokenization", "Support", "Torch",
      ]),
    stage("ott-fuzz", ["Fuzzing", "Support"]),
    stage("ott-provenance", ["Provenance", "Support"]),

    // MARK: Tests
    .target(name: "CAllocations", path: "Tests/CAllocations"),
    tests("Support", ["Support"]),
    tests("Stages", ["Contracts", "Parallel", "Stages", "Support"]),
    tests("Shards", ["Shards", "Support", "Parallel"]),
    tests("Parallel", ["Parallel"]),
    tests("Ranks", ["Parallel", "Ranks", "Support"]),
    tests("Statistics", ["Statistics", "Support"]),
    tests("Grammar", ["Grammar", "Support"]),
    tests(
      "Tokenization", ["Tokenization", "Parallel", "Support"], resources: [.copy("BPE/Fixtures")]),
    tests("Contracts", ["Contracts", "Support"]),
    tests(
      "NGrams", ["NGrams", "Parallel", "Tokenization", "Support"], resources: [.copy("Fixtures")]),
    tests(
      "DataStages", ["Contracts", "DataStages", "NGrams", "Shards", "Support", "Tokenization"]),
    tests("Kernels", ["Kernels", "Support"]),
    tests("Engine", ["Engine", "Kernels", "Parallel", "Support"]),
    tests("Torch", ["Engine", "Kernels", "Models", "NGrams", "Support", "Torch"]),
    tests(
      "Models",
      [
        "Models", "Engine", "Kernels", "NGrams", "Checkpoints", "Parallel", "Support",
        "CAllocations", "Torch",
      ],
      resources: [.copy("Fixtures")]),
    tests("Stores", ["NGrams", "Stores", "Support"]),
    tests("Checkpoints", ["Contracts", "Checkpoints", "Engine", "Kernels", "Parallel", "Support"]),
    tests(
      "Training",
      [
        "Contracts", "Training", "Models", "Engine", "Kernels", "Checkpoints", "NGrams", "Shards",
        "Parallel",
        "Support", "Torch",
      ]),
    tests(
      "Evaluation",
      [
        "Contracts", "DataStages", "Evaluation", "Models", "Engine", "Checkpoints", "Grammar",
        "Parallel", "Shards", "Tokenization", "NGrams", "Statistics", "Stores", "Support", "Torch",
      ], resources: [.copy("Fixtures")]),
    tests(
      "Exchange", ["Checkpoints", "Contracts", "Exchange", "Models", "NGrams", "Stages", "Support"]),
    tests("Planning", ["Contracts", "Planning", "Models", "NGrams", "Support"]),
    tests(
      "Reporting", ["Contracts", "Provenance", "Reporting", "Statistics", "Support"],
      resources: [.copy("Fixtures")]),
    tests(
      "Benchmark",
      [
        "Benchmark", "Contracts", "Grammar", "Models", "NGrams", "Planning", "Engine", "Kernels",
        "Checkpoints", "Statistics", "Stores", "Tokenization", "Support",
      ]),
    tests(
      "Provenance", ["Contracts", "NGrams", "Provenance", "Shards", "Stages", "Stores", "Support"]),
    tests(
      "Fuzzing", ["Contracts", "Fuzzing", "Support"],
      resources: [.copy("Resources"), .copy("Corpus")]),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "Contracts", "Support", "Shards", "NGrams", "Kernels", "Tokenization", "Planning",
        "Fuzzing",
        "ott-sample",
        "ott-vocabulary",
        "ott-import", "ott-export", "ott-generate",
        "ott-tokenize", "ott-discover", "ott-map", "ott-train", "ott-materialize", "ott-evaluate",
        "ott-downstream",
        "ott-plan",
        "ott-report",
        "ott-shards", "ott-provenance", "ott-bench", "ott-fuzz",
      ], swiftSettings: settings),
  ]
)

// OVERTOKEN_TESTS=Planning,Support leaves the tests of these rooms alone, for quick rounds of work.
if let rooms = Context.environment["OVERTOKEN_TESTS"] {
  let kept = rooms.split(separator: ",").map { String($0) + "Tests" }
  package.targets.removeAll { $0.type == .test && !kept.contains($0.name) }
}

// `make sanitize` builds the ground floor alone: threads, files and shards.
if Context.environment["OVERTOKEN_GROUND_FLOOR"] != nil {
  let rooms = ["CSupport", "CZstd", "Support", "Parallel", "Shards"]
  package.targets.removeAll { target in
    !rooms.contains(target.name) && !rooms.contains { target.name == $0 + "Tests" }
  }
}
