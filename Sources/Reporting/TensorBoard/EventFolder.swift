import Foundation
import Support

/// The metrics of training runs, finished or under way, as a folder for TensorBoard: a folder a run.
///
/// `metrics.jsonl` has no clock, as it is a function of settings and data: the wall time of an event is its step, in
/// seconds.
package struct EventFolder: Sendable {
  private let path: String

  package init(path: String) { self.path = path }

  /// Brings a run's file up to date; a file that holds the beginning is added to, so that who has it open sees
  /// what is new.
  ///
  /// - Parameters:
  ///   - directory: of the training run.
  ///   - name: of the run, which its folder gets.
  /// - Returns: the number of its events; nil when the run has not begun.
  /// - Throws: `UserError` on a line that is no metrics.
  package func update(from directory: String, name: String) throws -> Int? {
    let source = "\(directory)/metrics.jsonl"
    guard FileBytes.exists(source) else { return nil }
    let (bytes, count) = try Self.events(in: FileBytes.read(source), source: source)
    let place = "\(path)/\(name)/events.out.tfevents.0.overtoken"
    try AtomicFile.makeDirectory("\(path)/\(name)")
    let old = FileBytes.exists(place) ? try FileBytes.read(place) : []
    if old.isEmpty || !bytes.starts(with: old) {
      try AtomicFile.write(bytes, to: place)
    } else if bytes.count > old.count {
      try Self.append(Array(bytes[old.count...]), to: place)
    }
    return count
  }

  private static func append(_ bytes: [UInt8], to path: String) throws {
    let file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    guard file >= 0 else {
      throw UserError("\(path): cannot be opened", found: String(cString: strerror(errno)))
    }
    defer { close(file) }
    let fault = bytes.withUnsafeBytes { Descriptor.write($0, to: file) }
    guard fault == 0 else {
      throw UserError("\(path): cannot be written", found: String(cString: strerror(fault)))
    }
  }

  /// The event file of the lines of a `metrics.jsonl`. A last line without an end is being written.
  package static func events(in lines: [UInt8], source: String) throws -> (
    bytes: [UInt8], count: Int
  ) {
    let whole = lines.lastIndex(of: UInt8(ascii: "\n")).map { lines[...$0] } ?? []
    var file = EventFile(wallTime: 0)
    var count = 0
    for (number, line) in ByteLines(Array(whole)).enumerated() {
      let place = "\(source):\(number + 1)"
      let value = try ConfigValue.parse(json: Array(line), source: place)
      guard case .integer(let step)? = value["step"], step >= 0 else {
        throw UserError(place, expected: "metrics with their step", found: value.summary)
      }
      file.add(step: step, wallTime: Double(step), scalars: scalars(of: value.members))
      count += 1
    }
    return (file.bytes, count)
  }

  /// The members that are measured: counts are not, and losses beside the next-token loss stand one below.
  private static func scalars(of members: [String: ConfigValue], in group: String = "")
    -> [(tag: String, value: Float)]
  {
    members.sorted { $0.key < $1.key }.flatMap { name, value -> [(tag: String, value: Float)] in
      switch value {
      case .double(let number): [(group + name, Float(number))]
      case .object(let inner): scalars(of: inner, in: "\(group)\(name)/")
      default: []
      }
    }
  }
}
