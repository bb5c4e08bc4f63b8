import Checkpoints
import Models
import NGrams
import Parallel
import Shards
import Support

/// The f-grams that a run's data were matched with, as a Hugging Face directory holds them.
///
/// Of each length n from 2 a tensor `fgram_keys.<n>` of int64, ascending: key p·V + x of the f-gram that is
/// token x behind f-gram number p of length n − 1 (of length 1: behind token p). A number is a place among
/// the keys of its length. Whatever begins or ends an f-gram is one too.
struct RunFGrams {
  static let keysPrefix = "fgram_keys"

  let set: FGramSet
  /// The set by which `ott-map` names them.
  let source: Source
  /// Where the set was found.
  let place: String

  /// The most frequent `size` f-grams (0: all) of at most `longest` tokens of the discover set `id`.
  struct Source: Equatable {
    let longest, size: Int
    let id: String
  }

  /// Nil for a model without f-grams.
  ///
  /// - Parameters:
  ///   - columns: of the run's data.
  ///   - path: the set; where `find` says unless given.
  /// - Throws: `UserError` for another set than the run's.
  init?(
    of columns: TextMap.Columns, _ model: ModelConfiguration, at path: String?,
    find: (_ id: String) throws -> String
  ) throws {
    guard model.fGrams != nil, case .matches(let longest, let size, let id, _) = columns else {
      return nil
    }
    source = Source(longest: longest, size: size, id: id)
    place = try path ?? find(id)
    let found = try DiscoveredGrams(ShardSet(directory: place))
    guard found.id == id else {
      throw UserError(
        "\(place): f-grams", expected: "\(id), those of the run's data", found: found.id,
        remedy: "Give the run's own by --fgrams.")
    }
    set = try found.load(longest: longest, size: size, pool: WorkerPool(threads: 1))
  }

  /// Names and keys of each length.
  var tensors: [SafeTensors.Tensor] {
    (2...set.longest).map { length in
      let ids = set.ids(ofLength: length)
      return SafeTensors.Tensor(
        name: Self.keyName(length), dtype: .int64, shape: [ids.count]
      ) { append in
        for first in stride(from: ids.lowerBound, to: ids.upperBound, by: Self.together) {
          let keys = (first..<min(first + Self.together, ids.upperBound)).map { id in
            Int64(set.key(of: id)).littleEndian
          }
          try keys.withUnsafeBytes(append)
        }
      }
    }
  }

  static func keyName(_ length: Int) -> String { "\(keysPrefix).\(length)" }

  /// Keys that are made at a time.
  private static let together = 1 << 16
}

extension RunFGrams.Source {
  /// As `config.json` has it.
  var members: [String: ConfigValue] {
    ["longest": .integer(longest), "size": .integer(size), "set": .string(id)]
  }

  /// Reads the members of `config.json`.
  init(_ reader: inout ConfigReader) throws {
    self.init(
      longest: try reader.int("longest", in: 2...8),
      size: try reader.int("size", in: 0...Int(Int32.max)), id: try reader.string("set"))
  }

  /// What a map set that was made with them says of its columns.
  var columns: [String: ConfigValue] {
    [
      "content": .string(TextMap.Content.fGrams.rawValue), "longest": .integer(longest),
      "size": .integer(size), "fgrams": .string(id),
    ]
  }
}
