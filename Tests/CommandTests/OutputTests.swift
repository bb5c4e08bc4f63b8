import Foundation
import Shards
import Support
import Testing

/// Standard streams that do not take what is said, over every command: from outside, by a shell.
@Suite struct OutputTests {
  enum Fault: String, CaseIterable {
    case full, closed, broken

    /// A shell command that runs `command` with its stream `number` in this state.
    func script(_ command: String, stream number: Int = 1) -> String {
      switch self {
      case .full: "exec \(command) \(number)>/dev/full"
      case .closed: "exec \(command) \(number)>&-"
      // Once its reader has ended, nobody can read the pipe.
      case .broken: "exec 7> >(exec true); wait $!; exec \(command) \(number)>&7 7>&-"
      }
    }
  }

  static let executables = [
    "ott-sample", "ott-vocabulary", "ott-tokenize", "ott-discover", "ott-map", "ott-import",
    "ott-train", "ott-export", "ott-generate", "ott-evaluate", "ott-plan", "ott-report",
    "ott-shards",
    "ott-provenance", "ott-bench",
    "ott-fuzz",
  ]

  /// Every command that prints, as typed in `Place`.
  static let commands = [
    "ott-sample --print --grammar $G --count 3", "ott-sample parse --grammar $G",
    "ott-sample next --grammar $G", "ott-sample describe --grammar $G --samples 2",
    "ott-tokenize train --vocabulary 260 --validation 0 --output new corpus.txt",
    "ott-tokenize encode --tokenizer t/tokenizer.json --print",
    "ott-tokenize encode --tokenizer t/tokenizer.json --offsets",
    "ott-tokenize decode --tokenizer t/tokenizer.json",
    "ott-tokenize configure --tokenizer t/tokenizer.json --output new corpus.txt",
    "ott-tokenize statistics --tokenizer t/tokenizer.json --output new.csv corpus.txt",
    "ott-map statistics --tokens tokens --rows 100", "ott-shards info sample",
    "ott-shards info sample/00000.shard", "ott-shards cat sample", "ott-shards verify sample",
    "ott-shards export --to npy -o new.npy sample",
    "ott-shards bench --megabytes 1 --repetitions 1 sample",
    "ott-plan show --preset smoke", "ott-plan list --preset smoke --stage train",
    "ott-plan explain --preset smoke", "ott-provenance verify --data none --results none",
    "ott-provenance explain figure2.json:claims/0/accuracy/effect",
    "ott-bench tokens --sentences 2 --output new.tokens",
    "ott-bench weights --layers 1 --width 8 --heads 1 --vocabulary 4 --output new.weights",
    "ott-bench train --steps 0 --layers 1 --width 8 --heads 1", "ott-fuzz show grammar 1",
    "ott-fuzz show grammar 1 --read",
    "ott-bench tokenizers encode --tokenizer t/tokenizer.json corpus.txt",
    "ott-bench tokenizers train --vocabulary 260 corpus.txt",
    "ott-bench discover --tokens 2000 --vocabulary 50 --runs 1",
    "ott-bench store make --vocabulary 105 --width 4 --output new.store",
  ]

  /// A directory with what the commands read, made once.
  final class Place: Sendable {
    static let shared = Result { try Place() }
    let directory = NSTemporaryDirectory() + "output-" + UUID().uuidString

    private init() throws {
      try AtomicFile.makeDirectory(directory)
      for name in ["pipeline", "data", "results"] {
        try FileManager.default.createSymbolicLink(
          atPath: "\(directory)/\(name)", withDestinationPath: "\(Program.project)/\(name)")
      }
      try AtomicFile.write("the cat sat on the mat\n", to: "\(directory)/corpus.txt")
      // A string of the grammar, and ids of a byte-pair tokenizer.
      try AtomicFile.write("1 2 3\n", to: "\(directory)/input")
      let grammar = "data/grammars/cfg3f.grammar"
      let digest = SHA256.hex(of: try FileBytes.read("\(Program.project)/\(grammar)"))
      let sample: ConfigValue = [
        "stage": "sample", "version": 1,
        "parameters": [
          "grammar": .string(grammar), "grammarDigest": .string(digest), "root": 15, "seed": 3,
          "stream": "train", "documents": 20, "documentsPerShard": 20, "compressionLevel": 1,
        ],
      ]
      try AtomicFile.write(sample.prettyJSON, to: "\(directory)/sample.json")
      for command in [
        "ott-sample --config sample.json --output sample",
        "ott-tokenize train --vocabulary 260 --validation 0 --output t corpus.txt",
        "ott-tokenize configure --tokenizer t/tokenizer.json --output config corpus.txt",
        "ott-tokenize --config config/*.json --output tokens",
      ] {
        let result = try run(command)
        if result.status != 0 { throw UserError("\(command): \(result.all)") }
      }
    }

    func run(
      _ command: String, _ fault: Fault? = nil, stream: Int = 1, input: String = "<input"
    ) throws -> Program.Result {
      let line = command.replacing("$G", with: "data/grammars/cfg3f.grammar")
      let script = "'\(Program.directory)'/\(line) \(input)"
      return try Program.start(
        "/bin/bash", ["-c", fault?.script(script, stream: stream) ?? script], in: directory
      ).wait()
    }
  }

  private func run(
    _ command: String, _ fault: Fault? = nil, stream: Int = 1, input: String = "<input"
  ) throws -> Program.Result {
    try Place.shared.get().run(command, fault, stream: stream, input: input)
  }

  private func expect(_ result: Program.Result, is fault: Fault, _ comment: Comment) {
    switch fault {
    case .full, .closed:
      #expect(result.status == 1, comment)
      let cause = fault == .full ? "No space left on device" : "it is closed"
      let message = "error: standard output: cannot be written: found \(cause)\n"
      #expect(result.errors == message, comment)
    case .broken:
      #expect(result.status == 141 && result.errors.isEmpty, comment)
    }
    #expect(result.output.isEmpty, comment)
  }

  @Test(arguments: commands)
  func commandsSayThatTheirOutputDidNotArrive(command: String) throws {
    let whole = try run(command)
    #expect(whole.status == 0 && !whole.output.isEmpty, "\(command): \(whole.all)")
    for fault in Fault.allCases {
      let result = try run(command, fault)
      expect(result, is: fault, "\(command), \(fault): \(result.all)")
    }
  }

  @Test(arguments: executables)
  func soDoHelpAndVersion(executable: String) throws {
    for option in ["--help", "--version"] {
      for fault in Fault.allCases {
        let result = try run("\(executable) \(option)", fault)
        expect(result, is: fault, "\(executable) \(option), \(fault): \(result.all)")
      }
    }
  }

  /// More than a buffer holds: the command ends with its reader, long before its work is done.
  @Test func anEndlessCommandEndsWithItsReader() throws {
    let place = try Place.shared.get()
    let command =
      "'\(Program.directory)'/ott-sample --print --grammar data/grammars/cfg3f.grammar "
      + "--count 10000000000 | head -n 1; echo ${PIPESTATUS[0]}"
    let result = try Program.start("/bin/bash", ["-c", command], in: place.directory).wait()
    let lines = result.output.split(separator: "\n")
    #expect(lines.count == 2 && lines.last == "141" && result.errors.isEmpty, "\(result.all)")
  }

  /// A stage's product is its files: they are whole whatever becomes of its words, and no file gets
  /// the number of a closed stream.
  @Test(arguments: Fault.allCases)
  func aStageFinishesItsFiles(fault: Fault) throws {
    let place = try Place.shared.get()
    let reference = try FileBytes.read("\(place.directory)/sample/00000.shard")
    let output = "stage-\(fault)"
    let stage = "ott-sample --config sample.json --output \(output)"
    let result = try run(stage, fault, input: fault == .closed ? "<&-" : "<input")
    if fault == .broken {
      #expect(result.status == 0 && result.errors.isEmpty, "\(result.all)")
    } else {
      expect(result, is: fault, "\(result.all)")
    }
    #expect(try FileBytes.read("\(place.directory)/\(output)/00000.shard") == reference)
    let verified = try run("ott-shards verify \(output)")
    #expect(verified.status == 0, "\(verified.all)")
    // Finished now, and nothing to say.
    let again = try run(stage + " --quiet", fault)
    #expect(again.status == 0 && again.errors.isEmpty, "\(again.all)")
  }

  /// A message that cannot be said changes no exit status, and neither does progress.
  @Test(arguments: Fault.allCases)
  func standardErrorMayFail(fault: Fault) throws {
    let missing = try run("ott-shards info none", fault, stream: 2)
    #expect(missing.status == 1, "\(missing.all)")
    let usage = try run("ott-shards nonsense", fault, stream: 2)
    #expect(usage.status == 2, "\(usage.all)")
    let whole = try run("ott-shards info sample", fault, stream: 2)
    #expect(whole.status == 0 && whole.output.contains("stage      sample"), "\(whole.all)")
  }

  /// What is said in vain is lost in no other file: all three streams closed.
  @Test func noFileGetsTheNumberOfAClosedStream() throws {
    let place = try Place.shared.get()
    let result = try run("ott-shards export --to npy -o alone.npy sample", input: "<&- >&- 2>&-")
    #expect(result.status == 1)
    let reference = try run("ott-shards export --to npy -o whole.npy sample")
    #expect(reference.status == 0, "\(reference.all)")
    #expect(
      try FileBytes.read("\(place.directory)/alone.npy")
        == FileBytes.read("\(place.directory)/whole.npy"))
  }

  @Test(arguments: [
    "ott-sample parse --grammar $G", "ott-sample next --grammar $G",
    "ott-tokenize encode --tokenizer t/tokenizer.json --print",
    "ott-tokenize decode --tokenizer t/tokenizer.json",
    "ott-bench train --paced --layers 1 --width 8 --heads 1",
  ])
  func standardInputThatCannotBeReadIsAnError(command: String) throws {
    for (input, cause) in [("<&-", "it is closed"), ("</", "Is a directory")] {
      let result = try run(command, input: input)
      #expect(result.status == 1, "\(command): \(result.all)")
      #expect(
        result.errors == "error: standard input: cannot be read: found \(cause)\n",
        "\(command): \(result.all)")
    }
  }

  /// A file written to standard output stays alone there: the summary goes to standard error.
  @Test func standardOutputCanBeTheFile() throws {
    let place = try Place.shared.get()
    // By a link of our own: what goes wrong here must not reach /dev.
    let link = "\(place.directory)/out"
    unlink(link)
    try FileManager.default.createSymbolicLink(
      atPath: link, withDestinationPath: "/proc/self/fd/1")
    let whole = try run("ott-shards export --to npy -o direct.npy sample")
    #expect(whole.status == 0, "\(whole.all)")
    let bytes = try FileBytes.read("\(place.directory)/direct.npy")
    let piped = try run(
      "ott-shards export --to npy -o out sample", input: "| cat >piped.npy; exit ${PIPESTATUS[0]}")
    #expect(piped.status == 0 && piped.errors.contains(" in out\n"), "\(piped.all)")
    #expect(try FileBytes.read("\(place.directory)/piped.npy") == bytes)
    // Behind what a file holds already.
    let appended = try run("ott-shards export --to npy -o out sample", input: ">>piped.npy")
    #expect(appended.status == 0, "\(appended.all)")
    #expect(try FileBytes.read("\(place.directory)/piped.npy") == bytes + bytes)
    let target = try FileManager.default.destinationOfSymbolicLink(atPath: link)
    #expect(target == "/proc/self/fd/1")
    let gone = try run("ott-shards export --to npy -o out sample", .broken)
    #expect(gone.status == 141 && gone.errors.isEmpty, "\(gone.all)")
  }

  /// The way to the standard streams is Support's, which looks at what becomes of every byte.
  @Test func nothingElseWritesToStandardStreams() throws {
    let sources = Program.project + "/Sources"
    let bypass =
      /(^|[^.\w])(Swift\.)?(print|debugPrint|dump|puts|fputs|putchar|fwrite|readLine)\(|FileHandle\.standard/
    var files = 0
    for name in try FileManager.default.subpathsOfDirectory(atPath: sources)
    where name.hasSuffix(".swift") {
      files += 1
      let text = String(decoding: try FileBytes.read("\(sources)/\(name)"), as: UTF8.self)
      for line in text.split(separator: "\n") where line.contains(bypass) {
        Issue.record("\(name): \(line)")
      }
    }
    #expect(files > 100)
    for line in ["  print(\"x\")", "{ Swift.print(x) }", "FileHandle.standardError.write(x)"] {
      #expect(line.contains(bypass))
    }
    #expect(!"  private func imprint(x)".contains(bypass) && !"self.print(x)".contains(bypass))
  }
}
